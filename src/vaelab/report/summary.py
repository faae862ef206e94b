"""A run in a few sentences: what was trained, on what, for how long, what came of it."""

from collections.abc import Iterator

from vaelab.report.markup import duration, escape, interval, number
from vaelab.report.run_record import Record, is_collapsed
from vaelab.report.settings import NAMES, settings, shown

STATES = {
    "running": "The run is going on since {time}. Numbers and figures are those of the last "
    "validation.",
    "killed": "The process of the run was killed after {time}; it may be resumed.",
    "failed": "The run failed at {time}: {error}",
    "planned": "The run has not been started yet.",
    "pruned": "A search stopped the run at {time}, since others were better.",
    "interrupted": "The run was interrupted at {time} ({error}) and may be resumed.",
}
ACRONYMS = {"mig", "dci", "sap", "vae", "elbo", "kl", "tc", "mi", "irs", "nll", "fid", "rmig"} | {
    "udr"
}
HEADLINES = [  # metrics of an evaluation among the key numbers
    f"metrics/{name}"
    for name in ("mig", "dci_disentanglement", "factor_vae_score", "importance_weighted_bound")
]
VOWELS = "AEIOaeio"
SPELLED_WITH_VOWELS = {"MIWAE"}  # em-i-...
USUAL = {"posterior": "Gaussian", "prior": "StandardNormal", "objective.kl_penalty": "Constant"}
WHERE = {"test": "test images", "val": "validation images"}


def state_note(record: Record) -> str:
    """What a reader must know before the numbers, or nothing for a finished run."""
    template = STATES.get(record.state)
    if template is None:
        return ""
    error = escape(record.status.get("error", "it left no error"))
    text = template.format(time=escape(record.time), error=error)
    return f'<p class="note {escape(record.state)}" role="note">{text}</p>'


def sentences(record: Record) -> str:
    """The summary as a paragraph of HTML."""
    return f"<p>{' '.join([*_training(record), *_numbers(record), *_collapse(record)])}</p>"


def key_numbers(record: Record) -> list[tuple[str, str]]:
    """(name, value as HTML) of what a reader looks for first."""
    found = []
    names = {"elbo": "ELBO", "reconstruction": "reconstruction", "kl": "KL"}
    for name, title in names.items():
        if record.main(name) is not None:
            found.append((f"{title} <small>nats/image</small>", number(record.main(name))))
    if record.main("bits_per_dim") is not None:
        found.append(("bits per dim", number(record.main("bits_per_dim"), 3)))
    if record.main("active_units") is not None:
        total = record.config.get("latent_dim", "?")
        found.append(("active units", f"{number(record.main('active_units'))} of {total}"))
    for key in [key for key in HEADLINES if key in record.measured]:
        value = interval(record.metrics[key], record.score(key).get("interval"))
        found.append((escape(metric_title(key)), value))
    return found


def metric_title(key: str) -> str:
    """metrics/mig -> MIG; best/metrics/dci_completeness -> DCI completeness (best)."""
    before, _, name = key.partition("metrics/")
    words = [word.upper() if word in ACRONYMS else word for word in name.split("_")]
    return " ".join(words) + (f" ({before.rstrip('/')})" if before else "")


def _training(record: Record) -> Iterator[str]:
    chosen = {key: shown(value) for key, value in settings(record).items()}
    word = {key: NAMES.get(str(value), str(value)) for key, value in chosen.items()}
    name = word.get("objective", "model")
    article = "An" if name[0] in VOWELS or name in SPELLED_WITH_VOWELS else "A"
    objective = f"{article} {name}"
    if "objective.beta" in chosen:
        objective += f" with beta {number(float(chosen['objective.beta']))}"
    network = word.get("model.decoder", "").removesuffix("Decoder")
    text = f"{objective} and {word.get('latent_dim', '?')} latents"
    text += f" ({network} networks" if network else " (networks"
    if "num_parameters" in record.metrics:
        text += f" of {number(record.metrics['num_parameters'])} parameters"
    text += f", likelihood {word.get('likelihood', '?')}"
    for part, usual in USUAL.items():
        if word.get(part, usual) != usual:
            text += f", {part} {word[part]}"
    text += f") was trained on {word.get('data', '?')}"
    steps = record.metrics.get("num_steps")
    if steps is None and record.curves:
        steps = max(curve[0][-1] for curve in record.curves.values())
    if steps is not None:
        text += f" for {number(steps)} steps of {word.get('batch_size', '?')} images"
    if "seconds" in record.metrics:
        text += f", which took {duration(record.metrics['seconds'])}"
    machines = [entry.get("machine") or {} for entry in record.provenance[-1:]]
    for machine in machines:
        gpus = machine.get("gpus") or []
        text += f" on {gpus[0] if gpus else machine.get('cpu') or 'an unknown machine'}"
    yield escape(text) + "."


def _numbers(record: Record) -> Iterator[str]:
    elbo, reconstruction, kl = map(record.main, ("elbo", "reconstruction", "kl"))
    where = WHERE[record.split]
    if elbo is None and reconstruction is not None:
        yield f"On the {where} the reconstruction term is <b>{number(reconstruction)}</b> nats per "
        yield "image. There is no ELBO, since q(z|x) is a point and has no density."
        return
    if elbo is None:
        yield "It has no final numbers yet." if not record.metrics else "Its ELBO was not measured."
        return
    text = f"On the {where} the ELBO is <b>{number(elbo)}</b> nats per image"
    if reconstruction is not None and kl is not None:
        text += f": minus a reconstruction term of {number(reconstruction)} and a KL of "
        text += number(kl)
    yield text + "."


def _collapse(record: Record) -> Iterator[str]:
    verdict = (record.score("metrics/elbo").get("details") or {}).get("verdict")
    if verdict:
        yield escape(verdict)
        return
    kl = record.kl_latent
    if not kl:
        return
    silent = [i for i, value in kl.items() if is_collapsed(value)]
    best = max(kl, key=lambda i: kl[i])
    if len(silent) == len(kl):
        yield "<b>The posterior has collapsed:</b> no latent has a KL above 0.1 nats, so that "
        yield "the decoder knows nothing of the image."
        return
    largest = f"the largest KL is {number(kl[best], 3)} nats, of z{best + 1}"
    if not silent:
        yield f"No latent has collapsed (each has a KL above 0.1 nats); {largest}."
        return
    yield f"{len(kl) - len(silent)} of {len(kl)} latents are used; "
    has = "has" if len(silent) == 1 else "have"
    yield f"{len(silent)} {has} collapsed to the prior (a KL of at most 0.1 nats); {largest}."
