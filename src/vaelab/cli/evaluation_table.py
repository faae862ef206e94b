"""What the evaluate program prints of a run."""

from vaelab.evaluate import Evaluation


def format_evaluation(evaluation: Evaluation) -> str:
    """The result of one run as text: one line per score, with its interval."""
    lines = [f"\nrun       {evaluation.folder.path}"]
    width = max((len(name) for name in evaluation.scores), default=0)
    for name, score in evaluation.scores.items():
        low_high = "" if score.interval is None else "  [{:.4g}, {:.4g}]".format(*score.interval)
        lines.append(f"  {name:<{width}}  {score.value:>10.4g}{low_high}")
    left_out = (
        ("kept", evaluation.kept),
        ("no factors for", evaluation.skipped),
        ("not for this posterior and prior:", evaluation.undefined),
    )
    for reason, names in left_out:
        if names:
            lines.append(f"{reason:<9} {', '.join(names)}")
    lines += [f"FAILED    {name}: {sentence}" for name, sentence in evaluation.failed.items()]
    lines.append(f"metrics   {evaluation.folder.metrics}")
    return "\n".join(lines)
