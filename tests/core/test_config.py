from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from recollect.core import Config, ConfigError


class Circle(Config):
    shape: Literal["circle"] = "circle"
    radius: float


class Square(Config):
    shape: Literal["square"] = "square"
    width: float = Field(gt=0)


class Drawing(Config):
    length: int
    figure: Annotated[Circle | Square, Field(discriminator="shape")]
    others: tuple[Circle, ...] = ()
    colours: dict[str, int] = Field(default_factory=dict)


CIRCLE = {"shape": "circle", "radius": 1.0}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"lenght": 3, "figure": CIRCLE}, "drawing: unknown field 'lenght'; did you mean 'length'?"),
        (
            {"length": 3, "figure": {"shape": "square", "widht": 2}},
            "drawing.figure.square: unknown field 'widht'; did you mean 'width'?",
        ),
        (
            {"length": 3, "figure": CIRCLE, "others": [{"radius": 1, "raduis": 1}]},
            "drawing.others.0: unknown field 'raduis'; did you mean 'radius'?",
        ),
        (
            {"length": 1, "figure": {"shape": "sqare"}},
            "drawing.figure: unknown shape 'sqare'; did you mean 'square'?",
        ),
        ({"length": 1, "figure": {"radius": 1}}, "drawing.figure: the field 'shape' is required"),
        ({"figure": CIRCLE}, "drawing: the field 'length' is required"),
        ({"length": "x", "figure": CIRCLE}, "drawing.length"),
        ({"length": 1, "figure": {"shape": "square", "width": -1.0}}, "got -1.0"),
    ],
)
def test_a_wrong_field_is_refused_with_its_place_and_the_nearest_name(data, message):
    with pytest.raises(ConfigError) as caught:
        Drawing.parse(data)
    assert message in str(caught.value)


def test_a_far_off_field_lists_the_known_ones():
    with pytest.raises(ConfigError, match="Known: colours, figure, length, others"):
        Drawing.parse({"length": 3, "figure": CIRCLE, "zzz": 1})


def test_equal_values_have_one_digest_whatever_the_order_of_their_fields():
    first = Drawing.parse({"length": 3, "figure": CIRCLE, "colours": {"red": 1, "blue": 2}})
    second = Drawing.parse(
        {"colours": {"blue": 2, "red": 1}, "figure": {"radius": 1, "shape": "circle"}, "length": 3}
    )
    assert first.digest() == second.digest()
    assert first.digest() != Drawing.parse({"length": 4, "figure": CIRCLE}).digest()


def test_a_config_is_frozen():
    with pytest.raises(ValidationError):
        Drawing.parse({"length": 3, "figure": CIRCLE}).length = 5


def test_infinity_and_nan_are_refused():
    with pytest.raises(ConfigError):
        Circle.parse({"radius": float("nan")})
