"""Draw the precision of a radial basis function network and its active subspace."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier

from kernelkit import _validation as check
from kernelkit.plotting._axes import axes_or_new, names_of
from kernelkit.rbf_network import GaussianRBFClassifier, GaussianRBFRegressor
from kernelkit.rbf_network.structure import precision as precision_of

Array = npt.NDArray[Any]

_KINDS = ("precision", "spectrum", "directions", "projection")
_MOST_NAMES = 40  # on an axis: more cannot be read
_MOST_DIRECTIONS = 5
_LEAST_SHARE = 1e-6  # that is worth space
_MOST_CLASSES = 10  # in a legend


class PrecisionDisplay:
    """Learned precision and active subspace of a network, ready to draw.

    Use `from_estimator` to create one; the constructor takes what it computes.

    Parameters
    ----------
    factor : ndarray of shape (k, n_features) or (n_features,)
        Factor U of the precision U'U for standardised rows; a vector if that is
        diagonal.
    eigenvalues : ndarray of shape (r,)
        Spectrum of the active subspace, descending.
    eigenvectors : ndarray of shape (n_features, r)
        Directions of the active subspace, in columns.
    feature_names : sequence of str
        One name per feature.
    rows : ndarray of shape (n_rows, r) or None, default=None
        Coordinates of rows along the directions.
    values : ndarray of shape (n_rows,) or None, default=None
        Targets or labels of these rows.
    is_class : bool, default=False
        Whether the values are labels.
    kind : {"precision", "spectrum", "directions", "projection"}, default="precision"
        What `plot` draws.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last call of `plot`.
    figure_ : matplotlib Figure
        Figure of these axes.
    image_ : matplotlib artist
        Heat map of a precision or of directions; None otherwise.
    line_ : matplotlib artist
        Dots of a spectrum; None otherwise.
    rows_ : list of matplotlib artists
        Dots of a projection, a list for each class; empty otherwise.
    colorbar_ : matplotlib artist
        Colour bar; None without colours of numbers.

    See Also
    --------
    kernelkit.GaussianRBFRegressor, kernelkit.GaussianRBFClassifier : What is drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import GaussianRBFRegressor, PrecisionDisplay
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> y = np.sin(X[:, 1] + X[:, 3])
    >>> model = GaussianRBFRegressor(precision="low_rank", random_state=0).fit(X, y)
    >>> display = PrecisionDisplay.from_estimator(model, kind="directions")
    >>> sorted(np.abs(display.eigenvectors[:, 0]).argsort()[-2:].tolist())
    [1, 3]
    """

    def __init__(
        self,
        factor: Array,
        eigenvalues: Array,
        eigenvectors: Array,
        *,
        feature_names: Sequence[str],
        rows: Array | None = None,
        values: Array | None = None,
        is_class: bool = False,
        kind: str = "precision",
    ) -> None:
        self.factor = factor
        self.eigenvalues = eigenvalues
        self.eigenvectors = eigenvectors
        self.feature_names = feature_names
        self.rows = rows
        self.values = values
        self.is_class = is_class
        self.kind = kind

    @classmethod
    def from_estimator(
        cls,
        estimator: GaussianRBFRegressor | GaussianRBFClassifier,
        X: Any = None,
        y: Any = None,
        *,
        kind: str = "precision",
        subspace: str = "agop",
        n_components: int | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw what a fitted network has learned about its input.

        Parameters
        ----------
        estimator : GaussianRBFRegressor or GaussianRBFClassifier
            Fitted estimator; of a pipeline the last step.
        X : array-like of shape (n_rows, n_features) or None, default=None
            Rows to project; a projection needs them.
        y : array-like of shape (n_rows,) or None, default=None
            Their targets or labels; None stands for predictions.
        kind : {"precision", "spectrum", "directions", "projection"}, \
                default="precision"
            "precision" draws the matrix as a heat map, "spectrum" how much each
            direction of the active subspace matters, "directions" what the leading ones
            are made of, and "projection" rows along the first two of them, with their
            targets as colours; or targets over the first, if there is no second.
        subspace : {"agop", "precision"}, default="agop"
            Whose eigenvectors the directions are: those of the mean outer product of
            the gradients, or of the precision; see the estimator's `active_subspace`.
        n_components : int or None, default=None
            Number of leading directions; None stands for 5, or 2 of a projection, which
            has no more.
        ax : matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to `matplotlib.axes.Axes.imshow` (precision, directions),
            `matplotlib.axes.Axes.plot` (spectrum) or `matplotlib.axes.Axes.scatter`
            (projection).

        Returns
        -------
        display : PrecisionDisplay

        Raises
        ------
        TypeError
            If the estimator is another one, such as a pipeline.
        ValueError
            If a projection has no rows, or an argument is out of range.
        MissingDependencyError
            If matplotlib is not installed.
        """
        check.is_drawn_by(cls, estimator, GaussianRBFRegressor, GaussianRBFClassifier)
        check.choice("kind", kind, _KINDS)
        check.choice("subspace", subspace, ("agop", "precision"))
        eigenvalues, eigenvectors = estimator.active_subspace(subspace)
        rows = values = None
        if X is not None:
            Z = (check.query_data(estimator, X) - estimator.mean_) / estimator.scale_
            rows = Z @ eigenvectors
            values = np.asarray(estimator.predict(X) if y is None else y)
        display = cls(
            estimator._factor,
            eigenvalues,
            eigenvectors,
            feature_names=names_of(estimator, range(estimator.n_features_in_)),
            rows=rows,
            values=values,
            is_class=is_classifier(estimator),
            kind=kind,
        )
        return display.plot(n_components=n_components, ax=ax, **kwargs)

    def plot(
        self,
        kind: str | None = None,
        *,
        n_components: int | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw what was computed before.

        Parameters
        ----------
        kind : {"precision", "spectrum", "directions", "projection"} or None, \
                default=None
            What to draw; None stands for the kind that the display was created with.
        n_components : int or None, default=None
            Number of leading directions; None stands for 5, or 2 of a projection, which
            has no more.
        ax : matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to the method of the axes, as by `from_estimator`.

        Returns
        -------
        self : PrecisionDisplay
        """
        kind = check.choice("kind", kind or self.kind, _KINDS)
        if n_components is None:
            n_components = 2 if kind == "projection" else _MOST_DIRECTIONS
        k = min(check.count("n_components", n_components), len(self.eigenvalues))
        if kind == "projection":
            self._check_projection(k)
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        self.image_: Any = None
        self.line_: Any = None
        self.rows_: list[Any] = []
        self.colorbar_: Any = None
        if kind == "precision":
            self._plot_precision(**kwargs)
        elif kind == "spectrum":
            self._plot_spectrum(**kwargs)
        elif kind == "directions":
            self._plot_directions(k, **kwargs)
        else:
            self._plot_projection(min(k, 2), **kwargs)
        return self

    @property
    def precision(self) -> Array:
        """Precision for standardised rows, of shape (n_features, n_features)."""
        return precision_of(self.factor)

    def _check_projection(self, k: int) -> None:
        if self.rows is None or self.values is None:
            raise ValueError("A projection needs rows: pass X.")
        if k == 0:
            raise ValueError("There is no direction to project on: no feature varied.")
        if self.values.shape != (len(self.rows),):
            raise ValueError(
                f"One value per row can be drawn: expected y of shape "
                f"({len(self.rows)},), got {self.values.shape}."
            )

    def _plot_precision(self, **kwargs: Any) -> None:
        P = self.precision
        largest = float(np.abs(P).max(initial=0.0)) or 1.0
        self._map(P, largest, "precision", **kwargs)
        self._name_features(self.ax_.xaxis)
        self.ax_.tick_params(axis="x", rotation=90)

    def _plot_directions(self, k: int, **kwargs: Any) -> None:
        kwargs = {"aspect": "auto"} | kwargs
        self._map(self.eigenvectors[:, :k], 1.0, "coefficient", **kwargs)
        labels = [f"{j + 1}\n{share:.0%}" for j, share in enumerate(self._shares[:k])]
        self.ax_.set_xticks(range(k), labels)
        self.ax_.set_xlabel("direction, and its share of the spectrum")

    def _plot_spectrum(self, **kwargs: Any) -> None:
        seen = self._shares[self._shares > 0.0]
        kwargs = {"marker": "o"} | kwargs
        (self.line_,) = self.ax_.plot(np.arange(1, len(seen) + 1), seen, **kwargs)
        self.ax_.set(
            yscale="log",
            ylim=(max(0.5 * seen.min(initial=1.0), _LEAST_SHARE), 2.0),
            xlabel="direction",
            ylabel="share of the sum of eigenvalues",
        )
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        rank = 1.0 / (seen**2).sum() if len(seen) else 0.0
        self.ax_.set_title(f"effective rank {rank:.3g}", fontsize="medium")

    def _plot_projection(self, k: int, **kwargs: Any) -> None:
        assert self.rows is not None
        assert self.values is not None
        kwargs = {"s": 12, "alpha": 0.8, "linewidths": 0.0} | kwargs
        T, y = self.rows, self.values
        names = [f"direction {j + 1} ({self._shares[j]:.0%})" for j in range(k)]
        self.ax_.set_xlabel(names[0])
        if self.is_class:
            self._plot_classes(k, **kwargs)
        elif k == 1:
            self.rows_ = [self.ax_.scatter(T[:, 0], y, **kwargs)]
        else:
            if not {"c", "color"} & set(kwargs):
                kwargs = {"c": y, "cmap": "viridis"} | kwargs
            self.rows_ = [self.ax_.scatter(T[:, 0], T[:, 1], **kwargs)]
            if self.rows_[0].get_array() is not None:
                self.colorbar_ = self.figure_.colorbar(self.rows_[0], ax=self.ax_)
                self.colorbar_.set_label("target")
        if k == 2:
            self.ax_.set_ylabel(names[1])
        else:
            self.ax_.set_ylabel("class" if self.is_class else "target")

    def _plot_classes(self, k: int, **kwargs: Any) -> None:
        """Draw the rows of each class in a colour; on lines if there is no plane."""
        assert self.rows is not None
        classes, codes = np.unique(np.asarray(self.values), return_inverse=True)
        for j, label in enumerate(classes):
            T = self.rows[codes == j]
            height = T[:, 1] if k == 2 else np.full(len(T), j)
            options = {"label": str(label)} | kwargs
            if not {"c", "color"} & set(kwargs):
                options["color"] = f"C{j % 10}"
            self.rows_.append(self.ax_.scatter(T[:, 0], height, **options))
        if k == 1:
            self.ax_.set_yticks(range(len(classes)), classes.astype(str))
        elif len(classes) <= _MOST_CLASSES:
            self.ax_.legend(title="class")

    @property
    def _shares(self) -> Array:
        """Eigenvalues, of sum 1 unless all are 0."""
        total = self.eigenvalues.sum()
        return self.eigenvalues / total if total > 0.0 else self.eigenvalues

    def _map(self, values: Array, largest: float, label: str, **kwargs: Any) -> None:
        """Draw a heat map in which 0 is white."""
        if "norm" not in kwargs:
            kwargs = {"vmin": -largest, "vmax": largest} | kwargs
        kwargs = {"cmap": "RdBu_r"} | kwargs
        self.image_ = self.ax_.imshow(values, **kwargs)
        self.colorbar_ = self.figure_.colorbar(self.image_, ax=self.ax_)
        self.colorbar_.set_label(label)
        self._name_features(self.ax_.yaxis)

    def _name_features(self, axis: Any) -> None:
        if len(self.feature_names) <= _MOST_NAMES:
            axis.set_ticks(range(len(self.feature_names)), self.feature_names)
        else:
            axis.set_label_text("number of the feature")
