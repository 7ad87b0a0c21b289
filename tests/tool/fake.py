"""Servers that a real redis-server does not play: a slow one (a proxy before a real one), and one of another version.
SPDX-License-Identifier: MIT

    fake.py slow SOCKET REAL-SOCKET MILLISECONDS      each request reaches the real one so much later
    fake.py info SOCKET LINE...                       answers INFO with these lines, and all else with an error
"""
import asyncio
import sys


async def forward(reader, writer, delay):
    try:
        while data := await reader.read(65536):
            await asyncio.sleep(delay)
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def slow(reader, writer):
    real_reader, real_writer = await asyncio.open_unix_connection(sys.argv[3])
    await asyncio.gather(forward(reader, real_writer, int(sys.argv[4]) / 1000), forward(real_reader, writer, 0))


async def info(reader, writer):
    try:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2].decode().lower())
            text = "\r\n".join(sys.argv[3:]) + "\r\n"
            if words[0] == "info":
                writer.write(f"${len(text)}\r\n{text}\r\n".encode())
            elif words[0] == "time":
                writer.write(b"*2\r\n$1\r\n1\r\n$1\r\n0\r\n")
            else:
                writer.write(b"-ERR unknown command\r\n")
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def main():
    server = await asyncio.start_unix_server({"slow": slow, "info": info}[sys.argv[1]], sys.argv[2])
    async with server:
        await server.serve_forever()


asyncio.run(main())
