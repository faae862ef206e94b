"""The figures of a run, in an order in which they explain each other."""

from collections.abc import Iterator

from vaelab.report.markup import escape, picture
from vaelab.report.run_record import Record

# name -> (title, what to look for); the order is that of the page.
KNOWN = {
    "traversals": (
        "Latent traversals",
        "Each row moves one latent and leaves the others at one image's posterior mean; "
        "a row that does not change belongs to a latent that says nothing.",
    ),
    "traversals_prior": (
        "Latent traversals from the prior mean",
        "As above, but the others are at the mean of the prior.",
    ),
    "traversals_animated": ("Traversals, moving", "All latents go through their range at once."),
    "traversals_prior_animated": ("Traversals from the prior mean, moving", "As above."),
    "reconstructions": ("Reconstructions", "Data above, the mean of p(x|z) below."),
    "samples": ("Samples", "Means of p(x|z) for latents drawn from the prior."),
    "manifold": ("Manifold", "The decoded plane of both latents, where images lie."),
    "latent_scatter": (
        "Posterior means",
        "Where images lie: in the plane of both latents, or of their first "
        "two principal components.",
    ),
    "latent_kl": ("KL of each latent", "How much each latent says, in nats; none means collapse."),
    "mutual_information": (
        "Mutual information of latents and factors",
        "One bright cell in each column means that one latent holds that factor.",
    ),
    "importance": ("Importance of latents for factors", "What a learner uses to predict factors."),
    "elbo_decomposition": (
        "The KL term in parts",
        "Index-code mutual information, total correlation and dimension-wise KL, in nats.",
    ),
    "factor_traversals": ("Traversals of factors", "One factor of the data moves in each row."),
}


def ordered(names: list[str]) -> list[str]:
    """Known figures in their order, then the others by name."""
    places = {name: place for place, name in enumerate(KNOWN)}
    return sorted(names, key=lambda name: (places.get(name, len(KNOWN)), name))


class Budget:
    """How many bytes of figures a page may still take."""

    def __init__(self, num_bytes: float = float("inf")):
        self.left = num_bytes

    def allows(self, num_bytes: int) -> bool:
        """Whether so many more fit; if so they are taken."""
        fits = num_bytes <= self.left
        self.left -= num_bytes if fits else 0
        return fits


def gallery(record: Record, budget: Budget | None = None) -> str:
    """All figures of the run inside the page; those beyond the budget are named instead."""
    return "".join(_parts(record, budget or Budget()))


def _parts(record: Record, budget: Budget) -> Iterator[str]:
    left_out = []
    for name in ordered(list(record.figures)):
        file = record.figures[name]
        content = file.read_bytes()
        if not budget.allows(len(content)):
            left_out.append(file)
            continue
        title, sentence = KNOWN.get(name, (name.replace("_", " ").capitalize(), ""))
        alt = f"{title}, run {record.name}. {sentence}"
        yield picture(content, file.suffix, alt, title, sentence)
    if left_out:
        files = ", ".join(f"<code>{escape(file)}</code>" for file in left_out)
        yield f'<p class="small">Left out to keep this page small: {files}.</p>'
