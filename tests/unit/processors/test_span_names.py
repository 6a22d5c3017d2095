import pytest

from processors.span_names import is_id, template

UUID = "0b8f3a52-1c5e-4a8e-9d6b-7f2c1e3d4a5b"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", ""),
        ("health", "health"),
        ("12345", "12345"),
        ("GET /users", "GET /users"),
        ("GET /users/42", "GET /users/<_>"),
        ("GET /users/42/orders/7", "GET /users/<_>/orders/<_>"),
        (f"GET /users/{UUID}", "GET /users/<_>"),
        ("GET /blobs/deadbeef", "GET /blobs/deadbeef"),
        ("GET /blobs/deadbeef01", "GET /blobs/<_>"),
        ("GET /v1/things", "GET /v1/things"),
        ("GET /user42/x", "GET /<_>/x"),
        ("GET /username42/x", "GET /username42/x"),
        ("SELECT * FROM t WHERE id = 17", "SELECT * FROM t WHERE id = <_>"),
        ("GET /größe/42", "GET /größe/<_>"),
        ("GET /a%20b/1", "GET /a<_>b/<_>"),
    ],
)
def test_what_looks_like_an_id_is_replaced(name: str, expected: str) -> None:
    assert template(name) == expected


def test_a_template_of_a_template_is_the_same() -> None:
    for name in (f"GET /a/{UUID}/1", "GET /users/42", "a 1 b 2 c 3"):
        assert template(template(name)) == template(name)


def test_very_long_names_stay() -> None:
    assert template("1 " * 39) == "<_> " * 39
    assert template("1 " * 40) == "1 " * 40


@pytest.mark.parametrize(
    ("token", "expected"),
    [("a", False), ("1", True), ("a1", True), ("g1", False), ("g12", True), ("-", False)],
)
def test_an_id_has_digits_and_little_else_unless_it_is_hexadecimal(
    token: str, expected: bool
) -> None:
    assert is_id(token) is expected
