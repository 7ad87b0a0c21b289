"""@cached on sync functions and methods: what is a hit, what is stored, what a decorated function looks like."""

import copy
import dataclasses
import inspect
import math
import pickle
from typing import Optional

import pytest

import libcache
from libcache.decorator import cached
from libcache.keys import UncacheableArgument


class Source:
    """Counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, *args):
        self.asked.append(args)
        return {"args": list(args), "n": len(self.asked)}


def module_function(a, b=2, *, c=3):
    """Says what it got."""
    return [a, b, c]


# ---- Hits -----------------------------------------------------------------------------------------------------------------------------


def test_the_second_call_does_not_run_the_function(ns):
    source = Source()

    @ns.cached(ttl=10)
    def find(a, b=2):
        return source(a, b)

    assert find(1) == find(1) == find(a=1) == find(1, b=2) == {"args": [1, 2], "n": 1}
    assert find(2)["n"] == 2
    assert find.cache_info()[:2] == (3, 2)


def test_without_parentheses(ns):
    source = Source()

    @ns.cached
    def find(a):
        return source(a)

    assert find(1) == find(1)
    assert len(source.asked) == 1


def test_a_hit_is_a_value_of_its_own(ns):
    find = ns.cached(lambda a: {"list": [a]})
    find(1)
    find(1)["list"].append(2)
    assert find(1) == {"list": [1]}


@pytest.mark.parametrize("value", [None, False, 0, "", b"", [], {}, math.inf, "text", 2**80, (1, 2), {"a": [None]}])
def test_every_value_is_a_hit_the_second_time(ns, value):
    asked = []

    def find():
        asked.append(1)
        return value

    find = ns.cached(find)
    assert find() == find() == find() == value
    assert type(find()) is type(value)
    assert len(asked) == 1


def test_entries_end_with_their_ttl(ns, clock):
    source = Source()
    find = ns.cached(ttl=10)(lambda a: source(a))
    find(1)
    clock.advance(9)
    assert find(1)["n"] == 1
    clock.advance(1.5)
    assert find(1)["n"] == 2


def test_the_ttl_may_depend_on_the_result(ns, clock):
    source = Source()
    find = ns.cached(ttl=lambda result: result["args"][0])(lambda a: source(a))
    find(5), find(20)
    clock.advance(10)
    find(5), find(20)
    assert source.asked == [(5,), (20,), (5,)]


def test_functions_of_a_namespace_do_not_mix(ns):
    one = ns.cached(name="one")(lambda a: "one")
    two = ns.cached(name="two")(lambda a: "two")
    assert (one(1), two(1)) == ("one", "two")
    assert one.cache_key(1) != two.cache_key(1)


def test_versions_do_not_mix(ns):
    one = ns.cached(name="f", version=1)(lambda a: "one")
    two = ns.cached(name="f", version=2)(lambda a: "two")
    assert (one(1), two(1)) == ("one", "two")


def test_wrong_arguments_are_the_functions_own_error(ns):
    find = ns.cached(module_function)
    for call in (lambda: find(), lambda: find(1, 2, 3), lambda: find(1, a=1), lambda: find(1, z=1)):
        with pytest.raises(TypeError, match=r"module_function\(\)"):
            call()


def test_what_cannot_be_a_key_is_an_error_of_the_call(ns):
    find = ns.cached(module_function)
    with pytest.raises(UncacheableArgument, match="argument 'a'"):
        find(object())


def test_a_value_that_cannot_be_stored_is_an_error_that_names_the_function(ns):
    find = ns.cached(name="find")(lambda: object())
    with pytest.raises(libcache.EncodeError, match="find returned what cannot be stored"):
        find()
    with pytest.raises(libcache.EncodeError):
        find()  # and nobody waits for a load that has gone


# ---- Invalidating -------------------------------------------------------------------------------------------------------------------


def test_invalidate_takes_the_arguments_of_a_call(ns):
    source = Source()
    find = ns.cached(lambda a, b=2: source(a, b))
    find(1), find(2)
    assert find.invalidate(b=2, a=1) is True
    assert find.invalidate(1) is False
    assert (find(1)["n"], find(2)["n"]) == (3, 2)


def test_clear_is_of_one_function(ns):
    source = Source()
    one = ns.cached(name="one")(lambda a: source(a))
    two = ns.cached(name="two")(lambda a: source(a))
    one(1), one(2), two(1)
    one.cache_clear()
    assert [one(1)["n"], one(2)["n"], two(1)["n"]] == [4, 5, 3]


def test_tags_are_templates(cache, ns):
    source = Source()

    @ns.cached(tags=["user:{user_id}", "org:{result[args][1]}"])
    def find(user_id, org_id):
        return source(user_id, org_id)

    find(1, 7), find(2, 7), find(3, 8)
    cache.invalidate("user:1")
    assert [find(1, 7)["n"], find(2, 7)["n"], find(3, 8)["n"]] == [4, 2, 3]
    cache.invalidate("org:7")
    assert [find(1, 7)["n"], find(2, 7)["n"], find(3, 8)["n"]] == [5, 6, 3]


def test_tags_of_a_result_that_is_none_are_left_out(cache, ns):
    asked = []

    @ns.cached(tags=["user:{user_id}", "org:{result.org_id}"])
    def find(user_id):
        asked.append(user_id)

    find(1), find(1)
    cache.invalidate("user:1")
    find(1)
    assert len(asked) == 2


def test_tags_may_be_made_by_a_function(cache, ns):
    source = Source()
    find = ns.cached(tags=lambda call: [f"user:{call.arguments['a']}", f"n:{call.result['n']}"])(lambda a: source(a))
    find(1)
    cache.invalidate("n:1")
    assert find(1)["n"] == 2


def test_one_tag_may_be_given_as_text(cache, ns):
    source = Source()
    find = ns.cached(tags="all-users")(lambda a: source(a))
    find(1)
    cache.invalidate("all-users")
    assert find(1)["n"] == 2


@pytest.mark.parametrize("tags", ["{b}", ["x", "{nobody}"], "{a!r}"])
def test_tags_that_do_not_fit_are_refused_when_decorating(ns, tags):
    with pytest.raises(ValueError, match="template"):
        ns.cached(tags=tags)(lambda a: a)


def test_clearing_the_namespace_clears_its_functions(ns):
    source = Source()
    find = ns.cached(lambda a: source(a))
    find(1)
    ns.clear()
    assert find(1)["n"] == 2


def test_a_template_key_is_what_others_may_use(ns):
    find = ns.cached(key="user:{user_id}")(lambda user_id: {"id": user_id})
    find(42)
    assert ns.get("user:42") == {"id": 42}
    ns.set("user:43", {"id": "set by hand"})
    assert find(43) == {"id": "set by hand"}
    ns.delete("user:43")
    assert find(43) == {"id": 43}


def test_a_load_that_was_invalidated_meanwhile_is_not_kept(ns):
    source = Source()

    @ns.cached(name="find")
    def find(a):
        if not source.asked:
            find.invalidate(a)
        return source(a)

    assert find(1)["n"] == 1
    assert find(1)["n"] == 2
    assert find(1)["n"] == 2


# ---- Negative, conditional, exceptions -----------------------------------------------------------------------------------------------


def test_negative_results_are_kept_for_a_shorter_time(ns, clock):
    asked = []

    @ns.cached(ttl=60, negative=lambda result: not result)
    def find(a):
        asked.append(a)
        return {0: None, 1: [], 2: ["there"]}[a]

    for _ in range(2):
        assert [find(0), find(1), find(2)] == [None, [], ["there"]]
    assert asked == [0, 1, 2]
    clock.advance(6)
    assert [find(0), find(1), find(2)] == [None, [], ["there"]]
    assert asked == [0, 1, 2, 0, 1]


def test_what_store_refuses_is_given_but_not_kept(ns):
    source = Source()
    find = ns.cached(store=lambda result: result["n"] > 1)(lambda a: source(a))
    assert [find(1)["n"], find(1)["n"], find(1)["n"]] == [1, 2, 2]


class NotFound(Exception):
    pass


class Forbidden(NotFound):
    pass


def test_exceptions_are_not_cached(ns):
    asked = []

    @ns.cached
    def find(a):
        asked.append(a)
        raise NotFound(a)

    for _ in range(3):
        with pytest.raises(NotFound):
            find(1)
    assert len(asked) == 3
    assert find.cache_info().errors == 3


def test_exceptions_are_cached_if_declared(ns, clock):
    asked = []

    @ns.cached(exceptions=NotFound)
    def find(a):
        asked.append(a)
        raise (NotFound if a == 1 else Forbidden if a == 2 else KeyError)(a, "text", None)

    for _ in range(3):
        for a, kind in ((1, NotFound), (2, Forbidden), (3, KeyError)):
            with pytest.raises(kind) as raised:
                find(a)
            assert type(raised.value) is kind and raised.value.args == (a, "text", None)
    assert sorted(asked) == [1, 2, 2, 2, 3, 3, 3]
    clock.advance(6)
    with pytest.raises(NotFound):
        find(1)
    assert asked.count(1) == 2
    find.invalidate(1)
    with pytest.raises(NotFound):
        find(1)
    assert asked.count(1) == 3


def test_an_exception_with_what_cannot_be_stored_is_not_cached(ns):
    asked = []

    @ns.cached(exceptions=(NotFound,))
    def find():
        asked.append(1)
        raise NotFound(object())

    for _ in range(2):
        with pytest.raises(NotFound):
            find()
    assert len(asked) == 2


def test_a_cached_exception_is_no_value_of_the_namespace(ns):
    find = ns.cached(exceptions=NotFound, key="k{a}")(lambda a: (_ for _ in ()).throw(NotFound(a)))
    with pytest.raises(NotFound):
        find(1)
    assert ns.get("k1", "nothing") == "nothing"


# ---- What a decorated function is ------------------------------------------------------------------------------------------------------


def test_it_looks_like_the_function(ns):
    find = ns.cached(module_function)
    assert inspect.signature(find) == inspect.signature(module_function)
    assert inspect.isfunction(find) and inspect.isroutine(find) and callable(find)
    assert (find.__name__, find.__qualname__, find.__module__, find.__doc__) == (
        "module_function", "module_function", __name__, "Says what it got.",
    )  # fmt: skip
    assert find.__wrapped__ is module_function
    assert find.__code__ is module_function.__code__ and find.__globals__ is module_function.__globals__
    assert not inspect.iscoroutinefunction(find)
    assert find.cache_namespace.name == "test"
    assert "module_function" in repr(find)
    find.mark = 1
    assert find.mark == 1


def test_it_is_copied_as_a_function_is(ns):
    find = ns.cached(module_function)
    assert copy.copy(find) is find and copy.deepcopy(find) is find


pickled = libcache.Cache(memory_bytes=1 << 20).namespace("pickled", ttl=60).cached(module_function)
pickled.__qualname__ = "pickled"


def test_it_is_pickled_by_its_name():
    assert pickle.loads(pickle.dumps(pickled)) is pickled


class Service:
    def __init__(self):
        self.asked = 0

    def find(self, a):
        self.asked += 1
        return [a, self.asked]


def test_methods(ns):
    class Cached(Service):
        find = ns.cached(Service.find)

    one, two = Cached(), Cached()
    assert one.find(1) == two.find(1) == [1, 1]
    assert one.find.cache_key(1) == two.find.cache_key(a=1)
    assert one.find.invalidate(1) is True
    bound = two.find
    assert bound(1) == [1, 1] and two.asked == 1
    assert inspect.ismethod(bound) and bound.__self__ is two and bound.__func__ is Cached.__dict__["find"]
    assert str(inspect.signature(bound)) == "(a)"
    assert bound == two.find and bound != one.find and hash(bound) == hash(two.find)
    assert bound.cache_info().misses == 2
    assert Cached.find(one, 1) == [1, 1]
    with pytest.raises(AttributeError):
        bound.x = 1


def test_class_and_static_methods(ns):
    class Some:
        made = 0

        @classmethod
        @ns.cached(name="Some.make")
        def make(cls, a):
            cls.made += 1
            return [cls.__name__, a]

        @staticmethod
        @ns.cached(name="Some.add")
        def add(a, b):
            Some.made += 1
            return a + b

    with pytest.raises(UncacheableArgument, match="made inside a function"):
        Some.make(1)
    assert Some.add(1, 2) == Some().add(1, 2) == 3
    assert Some.made == 1


class Named:
    made = 0

    @classmethod
    def make(cls, a):
        cls.made += 1
        return [cls.__name__, a]


class Renamed(Named):
    pass


def test_class_methods_count_by_their_class(ns):
    make = ns.cached(Named.__dict__["make"].__func__)
    assert make(Named, 1) == make(Named, 1) == ["Named", 1]
    assert make(Renamed, 1) == ["Renamed", 1]


def test_the_wrong_order_of_decorators_is_said(ns):
    with pytest.raises(TypeError, match="below @classmethod"):
        ns.cached(classmethod(lambda cls: 1))
    with pytest.raises(TypeError, match="below @staticmethod"):
        ns.cached(staticmethod(lambda: 1))
    with pytest.raises(TypeError, match="below @property"):
        ns.cached(property(lambda self: 1))


def test_generators_and_classes_are_refused(ns):
    def generator():
        yield 1

    for function in (generator, Service, 42):
        with pytest.raises(TypeError):
            ns.cached(name="x")(function)


def test_two_lambdas_do_not_share_a_name(ns):
    keep = ns.cached(lambda a: a)
    with pytest.raises(ValueError, match="two functions are called"):
        ns.cached(lambda a: a + 1)
    assert keep(1) == 1


def test_two_closures_do_not_share_a_name(ns):
    def make(x, **options):
        return ns.cached(**options)(lambda a: a + x)

    keep = make(1)
    with pytest.raises(ValueError, match="give each one a name="):
        make(2)
    assert keep(1) == 2 and make(5, name="five")(1) == 6
    del keep
    assert make(2) is not None


@dataclasses.dataclass
class User:
    id: int
    email: Optional[str] = None


def test_declared_types_come_back(ns):
    def find(user_id) -> list[User]:
        return [User(user_id)]

    find = ns.cached(find)
    assert find(1) == find(1) == [User(1)]
    assert type(find(1)[0]) is User


def test_declared_types_may_be_given(ns):
    find = ns.cached(type=Optional[User])(lambda user_id: User(user_id) if user_id else None)
    assert [find(1), find(1), find(0), find(0)] == [User(1), User(1), None, None]


def test_text_annotations_are_understood(ns):
    namespace = {"User": User, "__name__": "somewhere"}
    exec("from __future__ import annotations\ndef find(user_id: int) -> User: return User(user_id)", namespace)
    find = ns.cached(namespace["find"])
    assert find(1) == find(1) == User(1)


def test_pydantic_models_come_back(ns):
    pydantic = pytest.importorskip("pydantic")

    class Profile(pydantic.BaseModel):
        id: int
        tags: list[str] = []

    def find(user_id) -> Profile:
        return Profile(id=user_id, tags=["a"])

    find = ns.cached(name="find")(find)
    assert find(1) == find(1) == Profile(id=1, tags=["a"])


def test_a_memo_gives_the_same_object_as_long_as_the_entry_holds(cache, ns, clock):
    source = Source()
    find = ns.cached(memo=10, ttl=10, tags="all", name="find")(lambda a: source(a))
    find(1)
    first = find(1)
    assert find(1) is first and first["n"] == 1
    find.invalidate(1)
    assert find(1)["n"] == 2 and find(1)["n"] == 2
    cache.invalidate("all")
    assert find(1)["n"] == 3
    clock.advance(11)
    assert find(1)["n"] == 4


# ---- A cache that is away ---------------------------------------------------------------------------------------------------------------


def test_a_closed_cache_is_no_fault_of_the_call(clock):
    cache = libcache.Cache(clock=clock, memory_bytes=1 << 20)
    source = Source()
    find = cache.namespace("n", ttl=60).cached(lambda a: source(a))
    find(1)
    cache.close()
    assert [find(1)["n"], find(1)["n"]] == [2, 3]


def test_the_function_form_is_the_same(ns):
    source = Source()
    find = cached(ns, lambda a: source(a))
    assert find(1) == find(1)
