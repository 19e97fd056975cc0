"""The pages keep up with the code: whatever can be chosen, set or imported is there, with true figures."""

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from recollect.cli.layers import DIM, layer_row
from recollect.memory import FAMILIES
from recollect.models import MIXERS, ModelConfig, mixer_facts
from recollect.probing.capacity import RECALLED
from recollect.regression.named import CATALOG
from recollect.report.charts import CHARTS
from recollect.report.results import SOLVED_ABOVE
from recollect.report.verdicts import FAILED_ABOVE, LEARNED_BELOW, NEAR_GUESSING
from recollect.studies import STUDIES, Study, find_study
from recollect.tasks import CRITERIA, INPUT_LAWS, TASKS
from recollect.training import SOLVED_BELOW, TrainingConfig, still_improving

DOCS = Path(__file__).parents[2] / "docs"
PACKAGES = (
    "memory",
    "ops",
    "regression",
    "tasks",
    "models",
    "floors",
    "training",
    "probing",
    "studies",
    "diagnosis",
    "report",
    "core",
)


def rows(page):
    """Cells of all table rows whose first cell is a name in backquotes, by that name."""
    lines = [line.strip("|").split(" | ") for line in (DOCS / page).read_text().splitlines()]
    cells = [[cell.strip() for cell in line] for line in lines if len(line) > 1]
    return {name: line for line in cells for name in re.findall(r"`([\w-]+)`", line[0])}


def task_tables():
    """For each kind of task its table in the page on study files: the cells of each field's row."""
    page = (DOCS / "studies.md").read_text()
    sections = re.findall(r"^#### (`.*?)\n(.*?)(?=^#)", page, re.DOTALL | re.MULTILINE)
    found = {}
    for heading, text in sections:
        lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
        for kind in re.findall(r"`(\w+)`", heading):
            found[kind] = {line[0].strip("`"): line for line in lines}
    return found


def yaml_blocks(page):
    return [
        yaml.safe_load(block)
        for block in re.findall(r"^```yaml\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
        if "--8<--" not in block
    ]


@pytest.mark.parametrize(
    "registry", [FAMILIES, MIXERS, STUDIES, TASKS], ids=["memory", "models", "studies", "tasks"]
)
def test_everything_to_choose_from_has_a_row_in_choosing(registry):
    assert set(registry) <= set(rows("choosing.md"))


def test_every_task_and_input_law_is_named():
    text = (DOCS / "choosing.md").read_text() + (DOCS / "studies.md").read_text()
    for name in [*TASKS, *INPUT_LAWS]:
        assert re.search(rf"(law: |`){name}\b", text), name


@pytest.mark.parametrize("name", MIXERS)
def test_choosing_gives_the_state_size_and_receptive_field_of_a_mixer(name):
    facts = mixer_facts(name)
    _, state, field, linear, *_ = rows("choosing.md")[name]
    assert state == f"{facts.state_size}{' a position' if facts.state_growth else ''}"
    assert facts.state_growth in (0, facts.state_size)
    assert field == str(facts.receptive_field or "unbounded")
    assert linear.startswith("yes") == facts.is_lti


@pytest.mark.parametrize("name", CATALOG)
def test_the_catalogue_page_gives_the_choices_and_the_state_of_a_layer(name):
    layer = CATALOG[name](DIM)
    _, weights, function, optimizer, state, grows, confirmed = rows("layers.md")[name]
    assert [name, weights, function, optimizer, state] == layer_row(name, layer)[:5]
    assert grows == ("yes" if layer.state_size(3) > layer.state_size(2) else "no")
    tested = "".join(
        path.read_text() for path in (DOCS.parent / "tests" / "regression").glob("test_published_*.py")
    )
    for implementation in re.findall(r"`(\w+)`", confirmed):
        assert implementation.removesuffix("Attention") in tested or implementation == "g", implementation


@pytest.mark.parametrize("config", [Study, ModelConfig, TrainingConfig])
def test_every_field_of_a_study_file_has_a_row_and_no_row_is_made_up(config):
    described = rows("studies.md")
    assert set(config.model_fields) <= set(described)
    configs = (Study, ModelConfig, TrainingConfig, *TASKS.values())
    assert set(described) <= set().union(*(known.model_fields for known in configs))


def test_every_kind_of_task_has_a_table_of_its_fields():
    tables = task_tables()
    assert set(tables) == set(TASKS)
    for kind, table in tables.items():
        together = [TASKS[other].model_fields for other in tables if tables[other] == table]
        fields = set().union(*together)
        assert set(table) | {"kind"} == fields, kind


@pytest.mark.parametrize("kind", TASKS)
def test_a_table_of_fields_gives_the_defaults_of_its_task(kind):
    for name, field in TASKS[kind].model_fields.items():
        if name == "kind":
            continue
        shown = task_tables()[kind][name][-1]
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if field.is_required():
            assert shown == "required", name
        elif isinstance(default, bool):
            assert shown == f"`{str(default).lower()}`", name
        elif default in (None, ()):
            assert shown == "none", name
        elif isinstance(default, str) and default:
            assert shown == f"`{default}`", name
        elif isinstance(default, int | float) and re.fullmatch(r"[\d.]+", shown):
            assert float(shown) == default, name
        else:
            assert shown not in ("none", "required"), name
            assert not re.fullmatch(r"[\d.]+", shown), name


def test_the_limits_of_recall_that_the_pages_name_are_those_of_the_code():
    measuring, recall = (
        " ".join((DOCS / page).read_text().split()) for page in ("measuring.md", "recall.md")
    )
    for text in (measuring, recall):
        assert f"stays above {RECALLED}" in text
    assert f"test accuracy is above {SOLVED_ABOVE:.0%}" in measuring.replace(" %", "%")
    assert f"validation error below {SOLVED_BELOW}" in measuring
    assert f"solved above {SOLVED_ABOVE:.0%}, at guessing up to {NEAR_GUESSING:.0%}" in measuring.replace(
        " %", "%"
    )


def test_every_criterion_has_a_row_in_measuring():
    assert set(CRITERIA) <= set(rows("measuring.md"))


@pytest.mark.parametrize("name", [name for name in STUDIES if "small" in find_study(name).scales])
def test_the_page_on_recall_tells_of_every_study_with_a_small_scale(name):
    assert name in rows("recall.md")


def test_the_page_on_recall_tells_apart_which_studies_train():
    for name, row in rows("recall.md").items():
        if name in STUDIES:
            assert {task.is_trained for task in find_study(name).tasks} == {row[-1] == "yes"}, name


def test_the_page_on_recall_names_charts_by_their_titles():
    named = re.findall(r"^- \*([A-Z][^*]+)\*", (DOCS / "recall.md").read_text(), re.MULTILINE)
    titles = {chart.title for chart in CHARTS.values()}
    assert len(named) > 8
    assert {" ".join(name.split()).rstrip(":,") for name in named} <= titles


def test_the_defaults_of_training_are_those_that_the_page_names():
    described = rows("studies.md")
    for name in ("steps", "batch_size", "learning_rate", "warmup", "evaluate_every", "long_factor", "clip"):
        assert float(described[name][-1]) == TrainingConfig.model_fields[name].default


def test_the_limits_that_measuring_names_are_those_of_the_code():
    text = " ".join((DOCS / "measuring.md").read_text().split())
    share, least = re.search(r"first half by more than (\d+) %, and by more than ([\d.]+)\.", text).groups()
    for before, limit in ((1.0, float(share) / 100), (0.01, float(least))):
        assert still_improving([0, 10, 20], [9.0, before, before - 1.01 * limit], 20)
        assert not still_improving([0, 10, 20], [9.0, before, before - 0.99 * limit], 20)
    assert f"learned below {LEARNED_BELOW:.0%}, failed above {FAILED_ABOVE:.0%}" in text.replace(" %", "%")


@pytest.mark.parametrize(("page", "most"), [("studies.md", 7), ("choosing.md", 6), ("recall.md", 1)])
def test_every_piece_of_a_study_file_is_valid(page, most):
    whole = {
        "name": "page",
        "tasks": [{"memory": {"family": "impulse", "alpha": 2}, "length": 8}],
        "models": [{"mixer": "s4d", "label": "S4D"}],
    }
    counts = []
    for piece in yaml_blocks(page):
        if "my_package" not in str(piece):
            counts.append(len(Study.parse(whole | piece).tasks))
    assert max(counts) == most


def test_the_list_of_decisions_is_complete():
    listed = re.findall(r"\((\d{4}-[\w-]+\.md)\)", (DOCS / "decisions" / "index.md").read_text())
    present = sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))
    assert listed == present
    for name in present:
        text = (DOCS / "decisions" / name).read_text()
        for part in ("**Context.**", "**Decision.**", "**Reasons.**", "**What would change our mind.**"):
            assert part in text, f"{name} lacks {part}"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [str(Path(sys.executable).parent / "mkdocs"), "build", "--quiet", "--site-dir", str(folder)],
        cwd=DOCS.parent,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        check=True,
        timeout=300,
    )
    return folder


def test_the_reference_shows_every_public_function_and_class(site):
    reference = "".join(path.read_text() for path in (site / "reference").rglob("index.html"))
    shown = set(re.findall(r'<h\d id="([\w.]+)" class="doc', reference))
    for package in PACKAGES:
        module = importlib.import_module(f"recollect.{package}")
        for name in module.__all__:
            entry = getattr(module, name)
            if (inspect.isclass(entry) or inspect.isfunction(entry)) and entry.__doc__:
                # Named by the package, or by its own module where the two have one name.
                assert shown & {f"recollect.{package}.{name}", f"{entry.__module__}.{name}"}, name


def test_formulas_are_drawn_without_a_script_or_a_network(site):
    pages = {path: path.read_text() for path in site.rglob("*.html")}
    assert any("<math" in text for text in pages.values())
    for path, text in pages.items():
        assert "arithmatex" not in text, path
        loaded = re.findall(r"<(?:script|img|link)[^>]*(?:src|href)=\"(https?:[^\"]+)", text)
        assert not loaded, f"{path} loads {loaded}"
