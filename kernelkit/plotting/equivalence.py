"""Draw how networks of finite width approach a kernel machine."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch

from kernelkit.plotting._axes import axes_or_new, some

Array = npt.NDArray[Any]

_SIZE = 10.0, 8.0  # inches
_DEVIATIONS = (  # in the report, in the legend
    ("max", "largest row"),
    ("rms", "rms"),
    ("limit_rms", "rms from its limit"),
)
_KERNELS = (
    ("kernel_distance", "at the start from the limit"),
    ("kernel_drift", "at the end from the start"),
)
_AGREEMENTS = (
    ("label_agreement", "as the machine after these steps"),
    ("optimum_agreement", "as its optimum, NTKSVC"),
)


class EquivalenceDisplay:
    """Networks of several widths beside the kernel machine, ready to draw.

    Four axes: outputs of the narrowest and the widest network against those of the
    machine; how the deviation falls with the width, and with which slope; how far the
    tangent kernel is from its limit and how far it moves; and the share of rows that
    are put into the same class, if there are classes.

    Parameters
    ----------
    report : Bunch
        What `equivalence_report` returns.

    Attributes
    ----------
    axes_ : ndarray of shape (4,) of matplotlib Axes
        Axes of the last call of `plot`.
    figure_ : matplotlib Figure
        Figure of these axes.
    dots_ : list of matplotlib artists
        Outputs of the narrowest and the widest network.
    lines_ : dict of str to matplotlib artist
        Lines over the widths, by their names in the report.
    fits_ : dict of str to matplotlib artist
        Fitted powers of the width, by the names of deviations.

    See Also
    --------
    kernelkit.equivalence_report : The report to draw.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import EquivalenceDisplay, equivalence_report
    >>> X = np.random.default_rng(0).normal(size=(30, 2))
    >>> report = equivalence_report(
    ...     X, X[:, 0] > 0.0, widths=(16, 64), n_seeds=2, max_iter=50, random_state=0
    ... )
    >>> display = EquivalenceDisplay(report).plot()
    >>> sorted(display.fits_)
    ['max_deviation', 'rms_deviation']
    """

    def __init__(self, report: Bunch) -> None:
        self.report = report

    def plot(self, ax: Sequence[Any] | None = None, **kwargs: Any) -> Self:
        """Draw the report.

        Parameters
        ----------
        ax : sequence of 4 matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to `matplotlib.axes.Axes.errorbar` for all lines over the widths.

        Returns
        -------
        self : EquivalenceDisplay

        Raises
        ------
        ValueError
            If there are not four axes.
        MissingDependencyError
            If matplotlib is not installed.
        """
        if ax is None:
            figure = axes_or_new(None).figure
            figure.clear()
            figure.set_size_inches(_SIZE)
            figure.set_layout_engine("constrained")
            ax = figure.subplots(2, 2)
        self.axes_ = np.ravel(np.asarray(ax, dtype=object))
        if len(self.axes_) != 4:
            raise ValueError(
                f"EquivalenceDisplay draws into four axes, got {len(self.axes_)}: pass "
                "plt.subplots(2, 2)[1], or None."
            )
        self.figure_ = self.axes_[0].figure
        self.lines_: dict[str, Any] = {}
        self.fits_: dict[str, Any] = {}
        outputs, deviations, kernels, agreements = self.axes_
        self._plot_outputs(outputs)
        self._plot_deviations(deviations, **kwargs)
        self._plot_widths(kernels, _KERNELS, **kwargs)
        kernels.set(yscale="log", ylabel="relative distance", title="Tangent kernels")
        if np.isnan(self.report.label_agreement).all():
            agreements.set_axis_off()
            return self
        self._plot_widths(agreements, _AGREEMENTS, **kwargs)
        low, high = agreements.get_ylim()
        agreements.set(
            ylim=(max(low, 0.0), min(high, 1.005)),
            ylabel="share of the rows",
            title="Rows put into the same class",
        )
        return self

    def _plot_outputs(self, ax: Any) -> None:
        report = self.report
        self.dots_ = []
        for k in sorted({int(np.argmin(report.widths)), int(np.argmax(report.widths))}):
            pairs = np.column_stack(
                [report.machine_outputs.ravel(), report.outputs[k, 0].ravel()]
            )
            label = f"width {report.widths[k]}"
            self.dots_ += ax.plot(*some(pairs).T, ".", alpha=0.6, label=label)
        ends = np.array([report.machine_outputs.min(), report.machine_outputs.max()])
        ax.plot(ends, ends, color="black", linewidth=0.8, zorder=0)
        ax.set(
            xlabel="output of the kernel machine",
            ylabel="output of a network",
            title="Outputs after the last step",
        )
        ax.legend(fontsize="small")

    def _plot_deviations(self, ax: Any, **kwargs: Any) -> None:
        report = self.report
        is_limit = report.regularizer == "distance"
        shown = _DEVIATIONS[:2] if is_limit else _DEVIATIONS
        named = []
        for name, label in shown:
            slope, error = report[f"{name}_slope"], report[f"{name}_slope_error"]
            if np.isfinite(slope):
                label += f", slope {slope:.2f}"
            if np.isfinite(error):
                label += rf" $\pm$ {error:.2f}"
            named.append((f"{name}_deviation", label))
        self._plot_widths(ax, named, linestyle="none", **kwargs)
        for name, _ in shown:
            key, slope = f"{name}_deviation", report[f"{name}_slope"]
            if not np.isfinite(slope):
                continue
            logs = np.log(report.widths)
            level = np.log(report.runs[key]).mean() - slope * logs.mean()
            (self.fits_[key],) = ax.plot(
                report.widths,
                np.exp(level + slope * logs),
                color=self.lines_[key].lines[0].get_color(),
                linestyle="--",
                linewidth=0.8,
            )
        ax.set(
            yscale="log",
            ylabel="largest along the way",
            title=f"Deviation from the machine, penalty on {report.regularizer!r}",
        )

    def _plot_widths(
        self, ax: Any, named: Sequence[tuple[str, str]], **kwargs: Any
    ) -> None:
        """Draw means over the networks of a width, and standard deviations."""
        for (name, label), style in zip(named, ("-", "--", ":"), strict=False):
            options = {"marker": "o", "markersize": 4, "capsize": 2, "label": label}
            options["linestyle"] = style  # equal lines are both seen
            self.lines_[name] = ax.errorbar(
                self.report.widths,
                self.report[name],
                self.report.std[name],
                **options | kwargs,
            )
        ax.set(xscale="log", xlabel="width")
        ax.set_xticks(self.report.widths, map(str, self.report.widths))
        ax.set_xticks([], minor=True)
        ax.legend(fontsize="small")
