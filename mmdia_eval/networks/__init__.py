"""Networks whose published weights no installed library loads. They import torch: see `load`."""
