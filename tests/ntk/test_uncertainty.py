"""Variances and intervals of frozen models: twins, identities and edge cases."""

import numpy as np
import pandas as pd
import pytest
from reference import ntk_uq
from scipy.stats import ortho_group, spearmanr
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler

from kernelkit.ntk import intervals, spectrum
from kernelkit.ntk.spectrum import Spectrum
from kernelkit.ntk.uncertainty import EmpiricalKernelUQ, ensemble_predict

RNG = np.random.default_rng(0)
SIZES = np.array([3.0, 2.0, 1.0, 0.5, 0.25])
X = RNG.standard_normal((40, 5)) * SIZES + 7.0
Y = X[:, 0] - 2.0 * X[:, 3] + 0.1 * RNG.standard_normal(40)
Q = RNG.standard_normal((9, 5)) * SIZES + 6.0
IS_LARGE = np.median(Y) < Y


def bare(**params):
    """Build a model without calibration, so that all rows are seen."""
    return EmpiricalKernelUQ(
        **{"calibration": None, "decomposition": "svd", "noise": 0.1, **params}
    )


def smooth(n, rng, size=2.0):
    """Draw a smooth problem with noise."""
    rows = rng.uniform(-size, size, (n, 4))
    y = np.sin(2.0 * rows[:, 0]) + rows[:, 1] * rows[:, 2] / 2.0
    return rows, y + 0.2 * rng.standard_normal(n)


@pytest.fixture(scope="module")
def network():
    """Train a small network, without warnings."""
    rows, y = smooth(400, np.random.default_rng(0))
    net = MLPRegressor(
        hidden_layer_sizes=(24, 24), random_state=0, learning_rate_init=0.01
    )
    for _ in range(60):
        net.partial_fit(rows, y)
    return net


class TestVariance:
    """What is left once some directions are known."""

    @pytest.mark.parametrize("rank", [0, 1, 3, 5])
    def test_equals_the_definition(self, rank):
        """Seen red with the singular values not squared."""
        A, rows = ntk_uq.centred(X, Q)

        got = bare(rank=rank).fit(X, Y).variance(Q)

        expected = [ntk_uq.variance(A, 0.1, a, rank) for a in rows]
        np.testing.assert_allclose(got, expected, rtol=1e-10)

    def test_full_rank_is_the_posterior_of_ridge_regression(self):
        A, rows = ntk_uq.centred(X, Q)

        got = bare(rank=5, noise=0.02).fit(X, Y).variance(Q)

        expected = [ntk_uq.ridge_posterior(A, 0.02, a) for a in rows]
        np.testing.assert_allclose(got, expected, rtol=1e-10)

    def test_more_rows_than_features_or_fewer_is_the_same_formula(self):
        """Seen red with the residual beside the basis dropped."""
        A, rows = ntk_uq.centred(X[:4], Q)

        got = bare(rank=3).fit(X[:4], Y[:4]).variance(Q)

        expected = [ntk_uq.ridge_posterior(A, 0.1, a) for a in rows]
        np.testing.assert_allclose(got, expected, rtol=1e-10)

    def test_no_rank_leaves_all(self):
        _, rows = ntk_uq.centred(X, Q)

        got = bare(rank=0).fit(X, Y).variance(Q)

        np.testing.assert_allclose(got, (rows**2).sum(axis=1), rtol=1e-12)

    def test_falls_with_the_rank_at_fixed_noise(self):
        v = np.array([bare(rank=k).fit(X, Y).variance(Q) for k in range(6)])

        assert (np.diff(v, axis=0) < 0.0).all()

    def test_orthogonal_maps_shifts_and_scales_do_not_matter(self):
        """Seen red with features that are scaled but not centred."""
        R = 1e3 * ortho_group.rvs(5, random_state=0)
        model = bare(rank=3).fit(X, Y)

        moved = bare(rank=3).fit(X @ R + 5.0, Y)

        np.testing.assert_allclose(
            moved.variance(Q @ R + 5.0), model.variance(Q), rtol=1e-8
        )

    def test_far_rows_grow_with_the_square_of_the_distance(self):
        model = bare(rank=3).fit(X, Y)
        step = Q - X.mean(axis=0)

        ratio = model.variance(X.mean(axis=0) + 100.0 * step) / model.variance(Q)

        np.testing.assert_allclose(ratio, 1e4, rtol=1e-9)

    def test_is_positive_where_rounding_eats_it(self):
        """Seen red without the floor."""
        model = bare(rank=5, noise=1e-300).fit(X, Y)

        assert (model.variance(Q) > 0.0).all()

    @pytest.mark.parametrize("n_jobs", [2, 3])
    def test_threads_do_not_change_a_bit(self, n_jobs):
        rows = np.random.default_rng(1).standard_normal((1500, 5))
        model = bare(rank=3).fit(X, Y)

        one = model.variance(rows)

        several = model.set_params(n_jobs=n_jobs).variance(rows)
        np.testing.assert_array_equal(one, several)

    def test_one_row_is_fine(self):
        model = bare(rank=3).fit(X, Y)

        np.testing.assert_allclose(model.variance(Q[:1]), model.variance(Q)[:1])

    def test_deviation_of_linear_regression(self):
        """The classical formula, of which the prior is flat. Seen red with 1/s^2."""
        noise = 1e-10
        model = bare(rank=5, noise=noise).fit(X, Y)

        _, std = model.predict(Q, return_std=True)

        A = X - X.mean(axis=0)
        step = Q - X.mean(axis=0)
        leverage = np.einsum("ij,ij->i", step, np.linalg.solve(A.T @ A, step.T).T)
        np.testing.assert_allclose(std / noise**0.5, np.sqrt(leverage), rtol=1e-8)


class TestSpectrum:
    """Energies and what is said about them."""

    def test_equal_energies(self):
        """Seen red with the entropy of the singular values."""
        rows = np.vstack([np.eye(4), -np.eye(4)])

        report = bare().fit(rows, np.arange(8)).report_

        assert report.effective_rank == pytest.approx(4.0, rel=1e-12)
        assert report.participation_ratio == pytest.approx(4.0, rel=1e-12)
        np.testing.assert_allclose(report.concentration, [0.25, 0.5, 0.75, 1.0])

    def test_spike(self):
        sizes = np.array([3.0, 1.0, 1.0])
        rows = np.vstack([np.diag(sizes), -np.diag(sizes)])

        report = bare().fit(rows, np.arange(6)).report_

        shares = sizes**2 / 11.0
        entropy = -(shares * np.log(shares)).sum()
        assert report.effective_rank == pytest.approx(np.exp(entropy), rel=1e-12)
        assert report.participation_ratio == pytest.approx(121.0 / 83.0, rel=1e-12)
        np.testing.assert_allclose(report.concentration, np.array([9, 10, 11]) / 11)

    def test_collapse_is_the_mean_of_the_variance(self):
        """On the fit's rows a formula of traces."""
        model = bare().fit(X, Y)

        curve = model.collapse_curve(X)

        E = model.spectrum_.energies
        shares = E / (E + 0.1)
        expected = 1.0 - np.append(0.0, np.cumsum(shares * E)) / E.sum()
        np.testing.assert_allclose(curve, expected, rtol=1e-9)
        assert (np.diff(curve) < 0.0).all()
        np.testing.assert_array_equal(model.report_.collapse, curve)
        assert model.report_.collapse_index == pytest.approx(curve[model.rank_])

    @pytest.mark.parametrize(("rank", "expected"), [(0, 5), (2, 3), (4, 1)])
    def test_noise_of_the_tail(self, rank, expected):
        """Seen red with the mean of the kept ones."""
        model = bare(noise="tail", rank=rank).fit(X, Y)

        E = model.spectrum_.energies
        assert model.noise_ == pytest.approx(E[rank:].sum() / expected)

    def test_noise_without_a_tail(self):
        model = bare(noise="tail", rank=5).fit(X, Y)

        assert model.noise_ == pytest.approx(model.spectrum_.energies.mean())

    @pytest.mark.parametrize("p", [3, 20, 29, 60])
    @pytest.mark.parametrize(
        ("rule", "loss"),
        [("gcv", ntk_uq.cross_validation), ("evidence", ntk_uq.minus_evidence)],
    )
    def test_fitted_noise_equals_the_definition(self, rule, loss, p):
        """Of contrasts, as the mean of y is known, with as many features or more.

        Seen red with n in place of n - 1 observations, which interpolates if p >= 29,
        with the degrees of freedom not squared, and without the determinant.
        """
        rng = np.random.default_rng(p)
        rows = rng.standard_normal((30, p))
        y = rows[:, 0] - rows[:, 1] + rng.standard_normal(30) + 5.0
        A, _ = ntk_uq.centred(rows, rows)

        model = bare(noise=rule).fit(rows, y)

        H = ntk_uq.contrasts(np.column_stack([A, y]))
        K, largest = H[:, :-1] @ H[:, :-1].T, model.spectrum_.energies[0]
        grid = largest * np.geomspace(1e-8, 1e3, 250)
        best = min(grid, key=lambda noise: loss(K, H[:, -1], noise))
        assert model.noise_ == pytest.approx(best, rel=0.08)
        assert 1e-6 * largest < best < 1e2 * largest

    def test_large_matrices_are_decomposed_in_part(self, monkeypatch):
        """Seen red with the energy that was not computed forgotten."""
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((60, 30)) * 0.6 ** np.arange(30)
        whole = Spectrum.of(rows, rng=rng)
        monkeypatch.setattr(spectrum, "_LARGEST", 20)
        monkeypatch.setattr(spectrum, "_N_LARGE", 8)

        part = Spectrum.of(rows, rng=rng)

        assert part.energies.size == 8
        np.testing.assert_allclose(part.energies, whole.energies[:8], rtol=1e-3)
        assert part.total == pytest.approx(whole.total)
        assert part.tail(3) == pytest.approx(whole.tail(3), rel=1e-3)
        assert part.effective_rank == pytest.approx(whole.effective_rank, rel=0.01)


class TestRank:
    """How many components are kept."""

    def test_automatic_one_keeps_the_variance(self):
        """Seen red with the smallest rank that does."""
        model = EmpiricalKernelUQ(random_state=0).fit(*smooth(200, RNG))
        report = model.report_

        n_ranks = int(report.effective_rank) + 1
        allowed = np.flatnonzero(report.collapse[:n_ranks] >= 0.05)
        assert model.rank_ == report.rank == allowed.max()
        assert report.verdict == "ok"

    def test_likeliest_one_has_the_best_likelihood(self, network):
        """Of residuals with one scale for all ranks. Seen red without the logarithm."""
        rows, y = smooth(300, np.random.default_rng(2))
        params = {"cv": "prefit", "random_state": 0, "decomposition": "svd"}
        model = EmpiricalKernelUQ(network, rank="likelihood", **params).fit(rows, y)

        tuning = model.held_out_indices_[:30]
        errors = y[tuning] - network.predict(rows[tuning])
        losses = []
        for rank in range(len(model.report_.collapse)):
            v = model.set_params(rank=rank).fit(rows, y).variance(rows[tuning])
            losses.append(np.log(v).mean() + np.log((errors**2 / v).mean()))
        best = EmpiricalKernelUQ(network, rank="likelihood", **params).fit(rows, y)
        assert losses[best.rank_] == pytest.approx(min(losses))

    def test_search_over_ranks(self, network):
        rows, y = smooth(150, np.random.default_rng(3))
        search = GridSearchCV(
            EmpiricalKernelUQ(FrozenEstimator(network), random_state=0),
            {"rank": [1, 3, 6]},
            scoring=EmpiricalKernelUQ.log_likelihood,
            cv=3,
        )

        search.fit(rows, y)

        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert np.ptp(search.cv_results_["mean_test_score"]) > 0.0

    def test_too_large_one_is_clipped(self):
        with pytest.warns(UserWarning, match="rank=9 exceeds the rank .* becomes 5"):
            model = bare(rank=9).fit(X, Y)

        assert model.rank_ == 5

    def test_collapse_is_a_verdict(self):
        model = bare(rank=5, noise=1e-6).fit(X, Y)

        assert model.report_.verdict == "collapsed"


class TestSources:
    """Independent components."""

    @staticmethod
    def mixed(n=600):
        """Mix heavy and Gaussian sources; the heavy ones move the features less."""
        rng = np.random.default_rng(0)
        sources = np.column_stack(
            [rng.standard_normal((n, 3)), 0.5 * rng.standard_t(5, size=(n, 3))]
        )
        return sources, sources @ ortho_group.rvs(6, random_state=1)

    def test_all_of_them_are_as_good_as_singular_vectors(self):
        """Seen red with whitened energies in place of those of the features."""
        _, rows = self.mixed()
        y = np.arange(len(rows))

        ica = bare(decomposition="ica", rank=6, random_state=0).fit(rows, y)

        svd = bare(rank=6).fit(rows, y)
        assert ica.report_.decomposition == "ica"
        np.testing.assert_allclose(ica.variance(rows), svd.variance(rows), rtol=1e-8)

    def test_least_gaussian_ones_are_kept(self):
        """Seen red with the most Gaussian ones first."""
        _, rows = self.mixed()
        y = np.arange(len(rows))

        model = bare(decomposition="ica", rank=3, random_state=0).fit(rows, y)

        assert (np.diff(np.abs(model.report_.kurtosis)) <= 0.0).all()
        R = ortho_group.rvs(6, random_state=1)
        heavy = model.posterior_.basis.T @ R.T[:, 3:]  # cosines of principal angles
        assert np.linalg.svd(heavy)[1].min() > 0.9

    def test_heavy_sources_are_preferred_by_default(self):
        rng = np.random.default_rng(0)
        heavy = rng.standard_t(3, size=(600, 8))
        y = np.arange(600)

        wanted = bare(decomposition="auto", rank=4, random_state=0).fit(heavy, y)
        assert wanted.report_.decomposition == "ica"
        gaussian = bare(decomposition="auto", rank=3, random_state=0)
        report = gaussian.fit(rng.standard_normal((600, 8)), y).report_
        assert report.decomposition == "svd"
        assert report.kurtosis is not None
        assert bare(decomposition="auto", rank=2).fit(X, Y).report_.kurtosis is None

    @pytest.mark.parametrize(("rows", "rank"), [(X, 0), (X[:, :1], 1)])
    def test_one_component_has_no_sources(self, rows, rank):
        """Seen red without the warning."""
        with pytest.warns(UserWarning, match="There are no independent components"):
            model = bare(decomposition="ica", rank=rank).fit(rows, Y)

        assert model.report_.decomposition == "svd"
        assert model.report_.ica_converged is None

    def test_failure_is_reported(self, monkeypatch):
        """Seen red with the warning swallowed, and with a kurtosis of 0."""

        def fail(self, X):
            raise ConvergenceWarning

        monkeypatch.setattr(spectrum.FastICA, "fit_transform", fail)
        with pytest.warns(ConvergenceWarning, match="singular vectors take their"):
            model = bare(decomposition="ica", rank=3).fit(X, Y)

        assert model.report_.decomposition == "svd"
        assert model.report_.ica_converged is False
        assert model.report_.kurtosis is None
        np.testing.assert_array_equal(
            model.variance(Q), bare(rank=3).fit(X, Y).variance(Q)
        )


class TestIntervals:
    """Split conformal prediction."""

    @pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
    @pytest.mark.parametrize("m", [4, 9, 19, 40])
    def test_quantile_equals_the_definition(self, coverage, m):
        """Seen red with m in place of m + 1."""
        scores = np.random.default_rng(m).standard_normal((m, 2))

        got = intervals.conformal_quantile(scores, coverage)

        expected = [ntk_uq.quantile(column, coverage) for column in scores.T]
        assert got.tolist() == expected

    def test_held_out_rows_make_the_interval(self):
        rows, y = smooth(200, np.random.default_rng(1))
        model = EmpiricalKernelUQ(random_state=0).fit(rows, y)

        low, high = model.predict_interval(rows)

        held = model.held_out_indices_[20:]
        assert len(model.held_out_indices_) == 60
        assert ((low <= y) & (y <= high))[held].sum() == np.ceil(41 * 0.9)
        growth = np.sqrt(
            (1.0 - model.share_) * model.variance(rows) / model.reference_variance_
            + model.share_
        )
        np.testing.assert_allclose(high - low, 2.0 * model.quantile_[0] * growth)
        f, std = model.predict(rows, return_std=True)
        np.testing.assert_allclose((high - f) / std, 1.6448536269514722)

    @pytest.mark.parametrize(("n", "m"), [(80, 32), (28, 17)])
    def test_coverage_is_that_promised(self, n, m):
        """Within 4 standard errors of ``ceil(0.9 (m + 1)) / (m + 1)``, m scores.

        Seen red with the ``ceil(0.9 m)``-th of them, and with the quantile of the rows
        that the regression was fitted to.
        """
        rng = np.random.default_rng(0)
        covered = []
        for seed in range(200):
            rows = rng.standard_normal((n + 100, 8))
            y = rows[:, 0] + rng.standard_normal(n + 100) * (1.0 + rows[:, 1] ** 2)
            model = EmpiricalKernelUQ(
                calibration_size=0.6, decomposition="svd", random_state=seed
            )

            low, high = model.fit(rows[:n], y[:n]).predict_interval(rows[n:])

            covered.append(((low <= y[n:]) & (y[n:] <= high)).mean())
        expected = np.ceil(0.9 * (m + 1)) / (m + 1)
        one = expected * (1.0 - expected)
        error = np.sqrt((one / (m + 2) + one / 100) / 200)
        assert abs(np.mean(covered) - expected) < 4.0 * error

    @pytest.mark.parametrize("m", [30, 300])
    @pytest.mark.parametrize("power", [0.0, 0.2, 0.5])
    def test_share_is_the_least_that_is_surely_cheap(self, power, m):
        """By bootstrap.

        Seen red without standard errors, with fewer, and with a best one for sure.
        """
        rng = np.random.default_rng(m)
        is_least = []
        for _ in range(12):
            growth = np.exp(0.6 * rng.standard_normal((m, 1)))
            errors = np.abs(growth[:, 0] ** power * rng.standard_t(4, m))
            shares = intervals.SHARES
            growth = np.sqrt((1.0 - shares) * growth**2 + shares)

            got = intervals.cautious(errors, growth)

            lengths = ntk_uq.log_lengths(errors, growth)
            draws = rng.integers(m, size=(400, m))
            again = np.array([ntk_uq.log_lengths(errors[d], growth[d]) for d in draws])
            best = int(lengths.argmin())
            gain = lengths[-1] - lengths[best]
            if gain <= 1.5 * (again[:, -1] - again[:, best]).std():
                best = len(shares) - 1
            excess = lengths - lengths[best]
            excess += 1.5 * (again.T - again[:, best]).std(axis=1)
            is_least.append(got == np.flatnonzero(excess <= np.log(1.05))[0])
        assert np.mean(is_least) > 0.9  # standard errors differ by a few percent

    def test_share_without_errors_or_rows_to_tell(self):
        """Seen red with the least theta."""
        many = EmpiricalKernelUQ(features=np.sin, random_state=0).fit(X, np.ones(40))
        assert many.share_.tolist() == [0.5]
        rows, _ = smooth(120, RNG)

        exact = EmpiricalKernelUQ(random_state=0).fit(rows, np.zeros(120))

        assert exact.share_.tolist() == [1.0]

    def test_groups_are_covered_each(self):
        """Noise grows with the variance. Seen red with one quantile for all."""
        rng = np.random.default_rng(0)

        def draw(n):
            rows = rng.standard_normal((n, 3))
            size = np.linalg.norm(rows, axis=1) ** 4
            return rows, rows[:, 0] + size * rng.standard_normal(n)

        model = EmpiricalKernelUQ(n_groups=3, rank=0, random_state=0).fit(*draw(3000))
        rows, y = draw(4000)

        low, high = model.predict_interval(rows)

        covered = (low <= y) & (y <= high)
        order = np.argsort(model.variance(rows))
        parts = [covered[part].mean() for part in np.array_split(order, 3)]
        assert np.abs(np.array(parts) - 0.9).max() < 0.05

    def test_rows_out_of_range_are_covered_more_often(self, network):
        """Than by intervals of one width, at hardly more width; yet not as promised.

        Seen red with the theta of the shortest intervals.
        """
        rng = np.random.default_rng(5)
        near, y_near = smooth(1000, rng)
        far, y_far = smooth(1000, rng, size=4.0)
        errors_far = np.abs(y_far - network.predict(far))

        figures = []
        for seed in range(6):
            rows, y = smooth(900, rng)
            model = EmpiricalKernelUQ(network, cv="prefit", random_state=seed)
            low, high = model.fit(rows, y).predict_interval(near)
            below, above = model.predict_interval(far)
            errors = np.abs(y - network.predict(rows))[model.held_out_indices_]
            half = ntk_uq.quantile(errors, 0.9)
            covered = ((below <= y_far) & (y_far <= above)).mean()
            figures.append(
                [
                    ((low <= y_near) & (y_near <= high)).mean(),
                    (high - low).mean() / (2.0 * half),
                    covered - (errors_far <= half).mean(),
                    covered,
                ]
            )

        inside, width, gain, covered = np.mean(figures, axis=0)
        assert abs(inside - 0.9) < 0.02
        assert width <= 1.1
        assert gain >= 0.1
        assert covered <= 0.8

    def test_correlation_with_errors_is_reported(self, network):
        rows, y = smooth(200, np.random.default_rng(6))
        y = np.where(rows[:, 3] > 0.0, y + RNG.standard_normal(200), y)

        model = EmpiricalKernelUQ(network, cv="prefit", random_state=0).fit(rows, y)

        held = model.held_out_indices_[20:]
        errors = np.abs(y - network.predict(rows))[held]
        expected = spearmanr(model.variance(rows[held]), errors).statistic
        assert model.report_.error_correlation == pytest.approx(expected)

    def test_several_outputs_have_a_scale_each(self):
        rows, y = smooth(200, np.random.default_rng(1))
        model = EmpiricalKernelUQ(random_state=0)

        both = model.fit(rows, np.column_stack([y, 10.0 * y])).predict_interval(rows)

        one = model.fit(rows, y).predict_interval(rows)
        np.testing.assert_allclose(both[0][:, 0], one[0], rtol=1e-9)
        np.testing.assert_allclose(both[1][:, 1], 10.0 * one[1], rtol=1e-9)

    def test_too_few_rows_are_refused_when_asked(self):
        model = EmpiricalKernelUQ(random_state=0).fit(X[:12], Y[:12])

        assert np.isfinite(model.predict(Q)).all()
        with pytest.raises(ValueError, match="a group needs 9"):
            model.predict_interval(Q)
        with pytest.raises(ValueError, match="a group needs 9"):
            model.predict(Q, return_std=True)

    def test_need_calibration(self):
        with pytest.raises(ValueError, match="calibration='conformal'"):
            bare().fit(X, Y).predict_interval(Q)

    @pytest.mark.parametrize("calibration", ["conformal", None])
    @pytest.mark.parametrize("n_outputs", [None, 2])
    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_ensemble_adds_the_variance_of_means(self, n, n_outputs, calibration):
        """Seen red with variances of rows added along the outputs."""
        models = []
        for seed in range(3):
            rows, y = smooth(200, RNG)
            y = y if n_outputs is None else np.column_stack([y, 10.0 * y**2])
            model = EmpiricalKernelUQ(calibration=calibration, random_state=seed)
            models.append(model.fit(rows, y))
        rows, _ = smooth(n, RNG)

        mean, std = ensemble_predict(models, rows)

        f, s = zip(*(m.predict(rows, return_std=True) for m in models), strict=True)
        np.testing.assert_allclose(mean, np.mean(f, axis=0))
        assert std.shape == mean.shape
        for place in np.ndindex(mean.shape):
            squares = [d[place[: d.ndim]] ** 2 for d in s]
            expected = np.mean(squares) + np.var([one[place] for one in f])
            assert std[place] ** 2 == pytest.approx(expected)

    def test_ensemble_needs_a_model(self):
        """Seen red without the check."""
        with pytest.raises(ValueError, match="needs a model or more"):
            ensemble_predict([], Q)


class TestModels:
    """Whose features are taken."""

    def test_frozen_and_prefit_are_the_same(self, network):
        rows, y = smooth(100, np.random.default_rng(4))
        frozen = EmpiricalKernelUQ(FrozenEstimator(network), random_state=0)

        prefit = EmpiricalKernelUQ(network, cv="prefit", random_state=0).fit(rows, y)

        frozen.fit(rows, y)
        np.testing.assert_array_equal(frozen.variance(rows), prefit.variance(rows))
        assert prefit.estimator_ is network

    def test_estimator_is_cloned_and_seeded(self):
        """Seen red without the seed."""
        linear = MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", max_iter=2000)
        model = EmpiricalKernelUQ(linear.set_params(alpha=1e3), random_state=0)

        first = model.fit(X, Y).predict(Q)

        np.testing.assert_array_equal(model.fit(X, Y).predict(Q), first)
        assert not hasattr(linear, "coefs_")

    def test_function_of_rows(self):
        model = bare(features=lambda rows: rows[:, :2] ** 3, rank=2).fit(X, Y)

        A, rows = ntk_uq.centred(X[:, :2] ** 3, Q[:, :2] ** 3)
        expected = [ntk_uq.ridge_posterior(A, 0.1, a) for a in rows]
        np.testing.assert_allclose(model.variance(Q), expected, rtol=1e-9)

    @pytest.mark.parametrize("sketch", [None, 12])
    def test_tangents(self, network, sketch):
        rows, _ = smooth(60, np.random.default_rng(4))
        model = bare(
            estimator=network, cv="prefit", features="tangent", sketch=sketch, rank=4
        ).fit(rows)

        v = model.variance(rows)

        assert v.mean() == pytest.approx(
            model.report_.collapse_index * (model.spectrum_.energies.sum() / len(rows))
        )

    def test_pipeline_that_knows_names(self):
        frame = pd.DataFrame(X, columns=list("abcde"))
        pipeline = make_pipeline(StandardScaler(), LinearRegression()).fit(frame, Y)

        model = bare(estimator=pipeline, cv="prefit", rank=3).fit(frame)

        expected = bare(rank=3).fit(StandardScaler().fit_transform(X), Y)
        np.testing.assert_allclose(
            model.variance(frame), expected.variance(pipeline[0].transform(frame))
        )

    @pytest.mark.parametrize("calibration", ["conformal", None])
    def test_frames_reach_an_estimator_that_is_fitted_here(self, calibration):
        """It may choose columns by their names. Seen red with it given arrays."""
        frame = pd.DataFrame(X, columns=list("abcde"))
        columns = make_column_transformer(
            (StandardScaler(), ["a", "b"]), remainder="passthrough"
        )
        params = {"decomposition": "svd", "calibration": calibration, "random_state": 0}
        model = EmpiricalKernelUQ(make_pipeline(columns, LinearRegression()), **params)

        model.fit(frame, Y)

        queries = pd.DataFrame(Q, columns=list("abcde"))
        expected = EmpiricalKernelUQ(**params).fit(X, Y).predict(Q)
        np.testing.assert_allclose(model.predict(queries), expected, rtol=1e-9)
        assert np.isfinite(model.variance(queries)).all()

    @pytest.mark.parametrize("features", ["last_layer", "tangent"])
    def test_steps_may_return_sparse_rows(self, features):
        network = MLPRegressor(
            hidden_layer_sizes=4,
            activation="tanh",
            solver="lbfgs",
            alpha=1.0,
            max_iter=9000,
            random_state=0,
        )
        model = bare(
            estimator=make_pipeline(KBinsDiscretizer(3, strategy="uniform"), network),
            features=features,
            rank=2,
        )

        assert np.isfinite(model.fit(X, Y).variance(Q)).all()

    def test_classifier_has_variances_alone(self):
        model = LogisticRegression().fit(X, IS_LARGE)

        got = bare(estimator=model, cv="prefit", rank=3).fit(X)

        np.testing.assert_allclose(got.variance(Q), bare(rank=3).fit(X, Y).variance(Q))
        assert got.predict(Q).dtype == bool
        with pytest.raises(ValueError, match="set calibration=None"):
            EmpiricalKernelUQ(model, cv="prefit").fit(X, IS_LARGE)


class TestEdges:
    """Odd and bad input."""

    def test_dead_network_is_reported(self, network):
        with pytest.warns(UserWarning, match="is the last layer dead"):
            model = EmpiricalKernelUQ(
                network,
                cv="prefit",
                features=lambda rows: np.full((len(rows), 3), 0.1),
                random_state=0,
            ).fit(*smooth(100, RNG))

        low, high = model.predict_interval(smooth(9, RNG)[0])
        assert model.report_.verdict == "constant"
        assert np.ptp(high - low) < 1e-12

    def test_dead_units_do_not_matter(self):
        wide = np.hstack([X, np.zeros((40, 7))])
        model = bare(noise="tail", rank=2).fit(wide, Y)

        got = model.variance(np.hstack([Q, np.zeros((9, 7))]))

        expected = bare(noise="tail", rank=2).fit(X, Y).variance(Q)
        np.testing.assert_allclose(got, expected, rtol=1e-9)

    @pytest.mark.parametrize("scale", [1e-200, 1e100])
    def test_units_do_not_matter(self, scale):
        got = bare(rank=3).fit(scale * X, Y).variance(scale * Q)

        expected = bare(rank=3).fit(X, Y).variance(Q)
        np.testing.assert_allclose(got, expected, rtol=1e-9)

    @pytest.mark.parametrize("noise", [0.0, -1.0, "none"])
    def test_noise_is_positive(self, noise):
        with pytest.raises(ValueError, match="'noise' parameter"):
            bare(noise=noise).fit(X, Y)

    def test_huge_queries_are_refused(self):
        model = bare().fit(X, Y)

        with pytest.raises(ValueError, match="squares overflow"):
            model.variance(1e200 * Q)

    def test_features_must_match_the_rows(self):
        with pytest.raises(ValueError, match="a row for each row of X"):
            bare(features=lambda rows: rows[:3]).fit(X, Y)

    def test_nothing_to_be_fitted_already(self):
        with pytest.raises(ValueError, match="needs an estimator that is fitted"):
            bare(cv="prefit").fit(X, Y)

    @pytest.mark.parametrize(("fitted", "given"), [(1, 2), (2, 1), (2, 3)])
    def test_outputs_must_be_those_of_the_estimator(self, fitted, given):
        """Seen red with residuals of shapes that are broadcast."""
        targets = np.column_stack([Y, 2.0 * Y, 3.0 * Y])
        regression = LinearRegression().fit(X, targets[:, :fitted])
        model = EmpiricalKernelUQ(regression, cv="prefit")

        with pytest.raises(ValueError, match=f"{fitted} output.* and y has {given}"):
            model.fit(X, targets[:, :given])

    @pytest.mark.parametrize("features", ["last_layer", np.sin])
    def test_sketch_of_other_features_is_refused(self, features):
        """Seen red without the check."""
        with pytest.raises(ValueError, match="sketch=3 is for features='tangent'"):
            bare(features=features, sketch=3).fit(X, Y)

    @pytest.mark.parametrize("rank", ["auto", "likelihood"])
    @pytest.mark.parametrize("scale", [1e-200, 1e160, 1e290])
    def test_units_of_targets_do_not_matter(self, scale, rank):
        """Seen red with squares of the residuals as they are."""
        rows, y = smooth(120, np.random.default_rng(0))
        y = np.column_stack([y, y**3])
        model = EmpiricalKernelUQ(rank=rank, random_state=0).fit(rows, y)
        low, high = model.predict_interval(rows)

        below, above = model.fit(rows, scale * y).predict_interval(rows)

        np.testing.assert_allclose(below / scale, low, rtol=1e-9)
        np.testing.assert_allclose(above / scale, high, rtol=1e-9)

    def test_one_row_is_refused(self):
        with pytest.raises(ValueError, match="minimum of 2"):
            bare().fit(X[:1], Y[:1])

    def test_likeliest_rank_needs_rows(self):
        with pytest.raises(ValueError, match="needs 30 held-out rows"):
            EmpiricalKernelUQ(rank="likelihood").fit(X, Y)

    def test_targets_must_have_the_shape_of_predictions(self):
        with pytest.raises(ValueError, match=r"y must have shape \(9,\)"):
            bare().fit(X, Y).log_likelihood(Q, Y[:3])
