"""Figures of logged curves."""

from vaelab.visualize.curves import collect_em_bound, collect_latent_kl, draw_latent_kl


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


def test_the_bound_of_em_comes_from_the_first_steps_that_were_all_logged():
    curves = {
        "train/log_p": {1: -9.0, 2: -5.0, 3: -4.0, 5: -3.0},
        "train/elbo_after_m_step": {1: -6.0, 2: -4.5, 3: -3.5, 5: -2.9},
    }
    assert collect_em_bound(curves) == ([-9, -5, -4], [-6, -4.5, -3.5])
    assert collect_em_bound({}) is None
    assert collect_em_bound({name: {50: -1.0} for name in curves}) is None
