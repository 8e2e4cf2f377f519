"""The metrics of the package itself, whatever other plugins a test registers."""

from mmdia_eval.registry import metric

METRICS = [name for name in metric if metric.get(name).__module__.startswith("mmdia_eval.metrics.")]
