"""Figures of logged curves."""

from vaelab.visualize.curves import collect_latent_kl, draw_latent_kl


def test_latent_kl_comes_from_what_a_run_logs():
    logged = {f"val/kl_latent/{i:02d}": {10: float(i), 20: 2.0 * i} for i in range(11)}
    del logged["val/kl_latent/03"][20]  # cut short by a kill
    assert collect_latent_kl(logged, 11) == {10: [float(i) for i in range(11)]}
    assert collect_latent_kl({}, 2) == {}


def test_latent_kl_is_drawn_and_named_from_zero():
    axes = draw_latent_kl({20: [1.0, 4.0], 10: [2.0, 3.0]}).axes[0]
    ends = {text.get_color(): text.get_text() for text in axes.texts}
    lines = {ends[line.get_color()]: tuple(line.get_ydata()) for line in axes.lines}
    assert lines == {"z0": (2, 1), "z1": (3, 4)}
