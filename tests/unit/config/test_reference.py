from pathlib import Path

from consumer.config import Config, shape
from consumer.config.reference import is_told, reference

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m consumer.config.reference > docs/configuration.md"
    )


def test_every_key_has_a_row_with_a_meaning() -> None:
    page = reference()
    for key in shape.keys(Config):
        rows = [line for line in page.splitlines() if line.startswith(f"| `{key.pattern}` |")]
        if is_told(key):
            assert rows, key.pattern
            assert not rows[0].endswith("|  |"), f"describe {key.pattern}"


def test_the_page_does_not_depend_on_the_machine() -> None:
    assert "| `kafka.group_instance_id` | text | the host name |" in reference()
