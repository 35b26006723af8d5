"""The report of a study: how well each person is decoded with what the others have taught."""

from calibration.weights.study import StudyDescription
from calibration.weights.study_figures import block_counts, headline, table
from rtdecode import report_kit as kit


def report(name: str, about: StudyDescription) -> str:
    """Return the report of a study, one self-contained page."""
    chance = 1 / len(about.classes)
    counts = block_counts(about)
    head, rows = table(about)
    people = [
        (
            person.name,
            str(person.n_volumes),
            *(f"{person.shares[n]['pool']:.0%}" if n in person.shares else "" for n in counts),
        )
        for person in about.left_out
    ]
    facts = (
        ("classes", ", ".join(about.classes)),
        ("people", str(about.n_people)),
        ("labelled volumes", str(about.n_volumes)),
        (
            "rule of the pool",
            f"the class means of others count as {about.pseudo_blocks:g} own blocks; own decoder "
            f"and priors weigh the same after {about.blocks_of_prior:g} own blocks of each class",
        ),
        ("weights", f"{about.weights}, sha256 {about.weights_sha256[:12]}"),
    )
    parts = [
        kit.verdict(headline(about), "STUDY", "open"),
        kit.section(
            "Learning curve",
            "Each person was left out: features, class means and scatter come from the others. The "
            "later half of the person's blocks was decoded after learning from the given number of "
            "earlier blocks of each class. Mean over people with 95 % interval (bootstrap over "
            f"people); chance {chance:.0%}. The more own blocks, the larger is the weight of own "
            "data in the pool.",
            kit.grid(head, rows, len(counts), strong="pool"),
            long=True,
        ),
        kit.section(
            "People",
            "Share of each person's volumes that the pool decodes correctly.",
            kit.grid(
                ("person", "volumes", *(kit.count(n, "own block") for n in counts)),
                people,
                len(counts) + 1,
            ),
            long=True,
        ),
        kit.section("Where it comes from", "", kit.facts(facts)),
    ]
    return kit.page(name, "Study report of rtdecode", parts)
