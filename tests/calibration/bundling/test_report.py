"""The report is one file that shows everything, and nothing of who was scanned."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from calibration.bundling.report.comparison_charts import accuracies, confusion, learning, traces
from calibration.bundling.report.pictures import on_epi
from rtdecode.metrics import DECODER_ROW_NOTE
from rtdecode.report_kit.axes import Axis, ChartLine, lines


class Tags(HTMLParser):
    """Collects what a page refers to, and checks that tags close."""

    VOID = frozenset({"meta", "img", "br", "line", "circle", "rect", "polyline"})

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.headings = [], [], []
        self._heading = False

    def handle_starttag(self, tag, attrs):
        """Note a tag."""
        if tag not in self.VOID:
            self.open.append(tag)
        self.sources += [value for name, value in attrs if name in {"src", "href"}]
        self._heading = tag == "h3"

    def handle_endtag(self, tag):
        """Close the last one."""
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        """Note headings."""
        if self._heading:
            self.headings.append(data)
            self._heading = False


@pytest.fixture
def page(made):
    """Return the fitted calibration's report."""
    return (made.fitted.bundle.path / "report.html").read_text(encoding="utf-8")


def test_it_is_one_well_formed_file(page):
    """Every picture is in it; nothing is loaded from anywhere."""
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert tags.sources
    assert all(source.startswith("data:image/png;base64,") for source in tags.sources)
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]*", "", page)
    assert "nan" not in re.sub(r"data:image/png;base64,[^\"]*|[a-z]*nan[a-z]+", "", page)


def test_it_shows_all_that_an_operator_looks_for(made, page):
    """Verdict, comparison, confusion, learning, motion, overlay, relevance and provenance."""
    tags = Tags()
    tags.feed(page)
    assert tags.headings == [
        "How well each decoder does on blocks it was not fitted to",
        "What would have been decided along the run",
        "Blocks: shown (rows) and decided",
        "Would more blocks help?",
        "How decisions are read out of single volumes",
        "In figures",
        "What to keep in mind",
        "Head and signal",
        "Registration",
        "Which voxels speak for each class",
        "Where it comes from",
    ]
    metrics = made.fitted.bundle.manifest.metrics
    assert f"{metrics.accuracy.block:.0%} of 8 blocks" in page
    assert all(one.name in page for one in metrics.comparison)
    assert re.search('class="strong">the decoder<', page)
    assert DECODER_ROW_NOTE in page


def test_both_read_outs_are_compared_and_the_compiled_one_is_bold(made, page):
    """Each with its share, log-loss and latency, as the manifest has them."""
    manifest = made.fitted.bundle.manifest
    bold = re.findall(r'<tr class="strong"><td>([^<]*)</td><td>([^<]*)</td>', page)
    (chosen,) = (one for one in manifest.metrics.read_outs if one.kind == manifest.read_out)
    assert [name for name, _ in bold] == [chosen.name]
    assert bold[0][1].startswith(f"{chosen.accuracy:.0%} (")
    for one in manifest.metrics.read_outs:
        assert f"<td>{one.name}</td>" in page
        assert f"<td>{one.log_loss:.2f}</td>" in page


def test_zero_shot_claims_nothing(made):
    """Without held-out data there is no figure, and the page says why."""
    page = (made.zero_shot.bundle.path / "report.html").read_text(encoding="utf-8")
    assert "ZERO-SHOT" in page
    assert "nothing is known of how well the decoder works for this person" in page
    assert "Accuracy of blocks" not in page


def test_relevance_lies_on_the_epi_where_its_voxels_are(made):
    """A map of ones covers the brain's voxels of the EPI, and no other."""
    space = made.fitted.bundle.space
    found = on_epi(np.ones(int(space.mask.sum())), space)
    assert found.shape == space.reference.shape
    assert set(np.unique(found)) <= {0.0, 1.0}
    inside = space.reference[found > 0].mean()
    assert inside > 2 * space.reference[found == 0].mean()


def test_names_are_escaped(made):
    """A trial type is text, whatever it holds."""
    curve = learning([(1, 0.5, 0.1), (2, 0.8, 0.05)], 0.5)
    assert curve.count("<circle") == 2
    chart = confusion(((1, 0), (0, 2)), ("<b>", "a&b"))
    assert "&lt;b&gt;" in chart
    assert "a&amp;b" in chart
    compared = made.fitted.bundle.manifest.metrics.comparison
    shown = accuracies(compared, ("voxels",), 0.5)
    assert shown.count('class="dot block"') == len(compared)
    assert "linear, chosen" in shown


def test_measures_with_gaps_are_drawn_without_them(rng):
    """What is not a number is left out of its line."""
    time_s = np.arange(20) * 2.0
    values = rng.random(20)
    values[3:6] = np.nan
    axis = Axis(40.0)
    drawn = lines([ChartLine("DVARS", values)], time_s, axis, "DVARS, %", limit=2.0)
    line = re.search(r'd="([^"]*)" class="trace', drawn).group(1)
    assert len(re.findall("[ML]", line)) == 17
    assert line.count("M") == 2
    assert "nan" not in drawn
    probabilities = np.full((20, 2), 0.5)
    assert traces(probabilities, time_s, ("a", "b"), [(0, 4.0, 10.0)]).count("polyline") == 2
