"""A run in a few sentences: what was trained, on what, for how long, with what result."""

from collections.abc import Iterator

from vaelab.report.blocks import Block, Bold, KeyNumbers, Paragraph, Small, Text, css_class
from vaelab.report.formatting import (
    CLASSES,
    format_duration,
    format_interval,
    format_number,
    format_score,
)
from vaelab.report.options import read_options, shorten
from vaelab.report.run_record import Record, is_collapsed
from vaelab.runs.status import State

STATES = {
    State.RUNNING: "The run has been in progress since {time}. Numbers and figures are those of "
    "the last validation.",
    State.KILLED: "The process of the run was killed after {time}; it may be resumed.",
    State.FAILED: "The run failed at {time}: {error}",
    State.PLANNED: "The run has not been started yet.",
    State.STOPPED_EARLY: "Training stopped at {time} after {steps}, as a callback such as "
    "EarlyStopping decided.",
    State.PRUNED: "A search stopped the run at {time}, since others were better.",
    State.OUT_OF_TIME: "The time for training (trainer.max_time) was over at {time}, after "
    "{steps}; the run may be resumed.",
    State.INTERRUPTED: "The run was interrupted at {time} ({error}) and may be resumed.",
}
HEADLINES = [  # scores of an evaluation among the key numbers, the most telling first
    f"metrics/{name}"
    for name in ("mig", "dci_disentanglement", "factor_vae_score", "importance_weighted_bound")
]
VOWELS = "AEIOaeio"
SPELLED_WITH_VOWELS = {"MIWAE"}  # em-i-...
USUAL = {"posterior": "Gaussian", "prior": "StandardNormal", "objective.kl_penalty": "Constant"}
IMAGES = {"test": "test images", "val": "validation images"}


def summarize_run(record: Record) -> Iterator[Block]:
    """State, sentences and key numbers."""
    template = STATES.get(record.state)
    if template is not None:
        error = record.status.get("error", "it left no error")
        text = template.format(time=record.time, error=error, steps=_describe_steps(record))
        yield Paragraph(text, f"note {css_class(record.state)}")
    sentences = (*_describe_training(record), *_describe_numbers(record))
    yield Paragraph((*sentences, *_describe_collapse(record)))
    items = list(_key_numbers(record))
    if items:
        yield KeyNumbers(items)


def _key_numbers(record: Record) -> Iterator[tuple[Text, Text]]:
    for name, title in {"elbo": "ELBO", "reconstruction": "reconstruction", "kl": "KL"}.items():
        if record.main(name) is not None:
            yield (f"{title} ", Small("nats/image")), format_number(record.main(name))
    if record.main("bits_per_dim") is not None:
        yield "bits per dim", format_number(record.main("bits_per_dim"), 3)
    if record.main("active_units") is not None:
        total = record.config.get("latent_dim", "?")
        yield "active units", f"{format_number(record.main('active_units'))} of {total}"
    for key in [key for key in HEADLINES if key in record.measured]:
        interval = record.score(key).get("interval")
        yield format_score(key), format_interval(record.metrics[key], interval)


def _describe_training(record: Record) -> Iterator[str]:
    options = {key: shorten(value) for key, value in read_options(record).items()}
    names = {key: CLASSES.get(str(value), str(value)) for key, value in options.items()}
    name = names.get("objective", "model")
    given = _describe_condition(record)
    text = f"{'An' if name[0] in VOWELS or name in SPELLED_WITH_VOWELS else 'A'} {name}"
    if given:
        text = f"A conditional {name}"
    if "objective.beta" in options:
        text += f" with beta {format_number(float(options['objective.beta']))}"
    network = names.get("model.decoder", "").removesuffix("Decoder")
    joined = "and" if "objective.beta" in options else "with"
    text += f" {joined} {names.get('latent_dim', '?')} latents ({f'{network} networks'.lstrip()}"
    if "num_parameters" in record.metrics:
        text += f" of {format_number(record.metrics['num_parameters'])} parameters"
    text += f", likelihood {names.get('likelihood', '?')}"
    for part, usual in USUAL.items():
        if names.get(part, usual) != usual:
            text += f", {part} {names[part]}"
    text += f") was trained on {names.get('data', '?')}"
    text += f" given {given}" if given else ""
    steps = _count_steps(record)
    if steps is not None:
        text += f" for {format_number(steps)} steps of {names.get('batch_size', '?')} images"
    if "seconds" in record.metrics:
        text += f", which took {format_duration(record.metrics['seconds'])}"
    for machine in [entry.get("machine") or {} for entry in record.provenance[-1:]]:
        gpus = machine.get("gpus") or []
        text += f" on {gpus[0] if gpus else machine.get('cpu') or 'an unknown machine'}"
    yield f"{text}. "


def _describe_condition(record: Record) -> str:
    """What a conditional model is given, "the label" or the factors; nothing of another model."""
    condition = record.config.get("condition")
    if not condition:
        return ""
    factors = condition.get("factors")
    return f"the factors {', '.join(factors)}" if factors else "the label"


def _describe_steps(record: Record) -> str:
    """How many of its steps a run did."""
    done, total = record.status.get("step", _count_steps(record)), record.config.get("num_steps")
    of = f" of {format_number(total)}" if total is not None else ""
    return f"{format_number(done)}{of} steps"


def _count_steps(record: Record) -> float | None:
    last = [steps[-1] for steps, _ in record.curves.values()]
    return record.metrics.get("num_steps", max(last, default=None))


def _describe_numbers(record: Record) -> Iterator[str]:
    elbo, reconstruction, kl = map(record.main, ("elbo", "reconstruction", "kl"))
    where = f"On the {IMAGES[record.split]} the "
    if elbo is None and reconstruction is not None:
        yield from (f"{where}reconstruction term is ", Bold(format_number(reconstruction)))
        yield " nats per image. There is no ELBO, since q(z|x) is a point and has no density. "
    elif elbo is None:
        yield "Its ELBO was not measured. " if record.metrics else "It has no final numbers yet. "
    else:
        yield from (f"{where}ELBO is ", Bold(format_number(elbo)), " nats per image")
        if reconstruction is not None and kl is not None:
            yield f": minus a reconstruction term of {format_number(reconstruction)} and a KL of "
            yield format_number(kl)
        yield ". "
        given = _describe_condition(record)
        if given:
            yield f"It bounds log p(x|y), where y is {given}, and not log p(x). "


def _describe_collapse(record: Record) -> Iterator[str]:
    verdict = (record.score("metrics/elbo").get("details") or {}).get("verdict")
    if verdict:
        yield str(verdict)
        return
    kl = record.kl_latent
    if not kl:
        return
    inactive = [i for i, value in kl.items() if is_collapsed(value)]
    if len(inactive) == len(kl):
        yield Bold("The posterior has collapsed:")
        yield " no latent has a KL above 0.1 nats, so that the decoder ignores the latents."
        return
    best = max(kl, key=lambda i: kl[i])
    largest = f"the largest KL is {format_number(kl[best], 3)} nats, of z{best}."
    if not inactive:
        yield f"No latent has collapsed (each has a KL above 0.1 nats); {largest}"
        return
    have = "has" if len(inactive) == 1 else "have"
    yield f"{len(kl) - len(inactive)} of {len(kl)} latents are used; {len(inactive)} {have} "
    yield f"collapsed to the prior (a KL of at most 0.1 nats); {largest}"
