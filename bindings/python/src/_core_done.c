/*
 * Done: what can be awaited and is over at once. SPDX-License-Identifier: MIT
 *
 * A hit in memory needs no event loop. `await` of a Done gives its value without suspending and without a coroutine's frame: am_send
 * (CPython 3.10, 3.11) or, where the interpreter asks for tp_iternext (from 3.12 on), StopIteration with the value. It has the methods of a
 * coroutine, so that asyncio.gather, create_task and asyncio.run take it for one.
 *
 * It is not known to the garbage collector: it is made with its value and never changes, so nothing that its value refers to can
 * refer to it.
 */
#include "_core.h"

struct done {
    PyObject_HEAD PyObject *value; /* NULL: has been given */
};

PyObject *done_new(struct state *st, PyObject *value)
{
    struct done *done;

    if (unlikely(!value))
        return NULL;
    done = PyObject_New(struct done, st->done_type);
    if (!done) {
        Py_DECREF(value);
        return NULL;
    }
    done->value = value;
    return (PyObject *)done;
}

static void done_dealloc(PyObject *self)
{
    struct done *done = (struct done *)self;
    PyTypeObject *type = Py_TYPE(self);

    Py_CLEAR(done->value);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *take(struct done *done)
{
    PyObject *value = done->value;

    done->value = NULL;
    if (unlikely(!value))
        PyErr_SetString(PyExc_RuntimeError, "cannot await this a second time");
    return value;
}

static PySendResult done_am_send(PyObject *self, PyObject *argument, PyObject **result)
{
    (void)argument;
    *result = take((struct done *)self);
    return *result ? PYGEN_RETURN : PYGEN_ERROR;
}

/* Raises StopIteration with the value. An exception or a tuple as value would be taken for something else, so it is made by hand. */
static PyObject *stop(struct done *done)
{
    PyObject *value = take(done), *stopped;

    if (!value)
        return NULL;
    stopped = PyObject_CallOneArg(PyExc_StopIteration, value);
    Py_DECREF(value);
    if (stopped) {
        PyErr_SetObject(PyExc_StopIteration, stopped);
        Py_DECREF(stopped);
    }
    return NULL;
}

static PyObject *done_next(PyObject *self)
{
    return stop((struct done *)self);
}

static PyObject *done_send(PyObject *self, PyObject *argument)
{
    (void)argument;
    return stop((struct done *)self);
}

static PyObject *done_throw(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    Py_CLEAR(((struct done *)self)->value);
    if (n < 1 || n > 3) {
        PyErr_SetString(PyExc_TypeError, "throw expects one to three arguments");
    } else if (PyExceptionInstance_Check(args[0])) {
        PyErr_SetObject((PyObject *)Py_TYPE(args[0]), args[0]);
    } else if (PyExceptionClass_Check(args[0])) {
        PyErr_SetObject(args[0], n > 1 ? args[1] : NULL);
    } else {
        PyErr_SetString(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException");
    }
    return NULL;
}

static PyObject *done_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    Py_CLEAR(((struct done *)self)->value);
    Py_RETURN_NONE;
}

static PyObject *done_self(PyObject *self)
{
    return Py_NewRef(self);
}

static PyMethodDef done_methods[] = {
    { "send", done_send, METH_O, NULL },
    { "throw", (PyCFunction)(void (*)(void))done_throw, METH_FASTCALL, NULL },
    { "close", done_close, METH_NOARGS, NULL },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot done_slots[] = {
    { Py_tp_dealloc, done_dealloc },
    { Py_am_await, done_self },
    { Py_am_send, done_am_send },
    { Py_tp_iter, done_self },
    { Py_tp_iternext, done_next },
    { Py_tp_methods, done_methods },
    { 0, NULL },
};

PyType_Spec done_spec = {
    .name = "libcache._core.Done",
    .basicsize = sizeof(struct done),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = done_slots,
};
