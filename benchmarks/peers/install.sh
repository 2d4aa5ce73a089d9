#!/usr/bin/env bash
# The peers that benchmarks/throughput.py runs beside us, each in an environment of its own below .peers/.
# open_clip and clip-retrieval want torchvision, and with it a full PyTorch: 6 GB of disk each.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
install() {
    local name=$1; shift
    [ -e ".peers/$name/.installed" ] && return
    "$python" -m venv ".peers/$name"
    ".peers/$name/bin/python" -m pip --disable-pip-version-check install --quiet "$@"
    touch ".peers/$name/.installed"
}
install rclip torch==2.13.0 rclip==3.3.0
install sentence-transformers torch==2.13.0 sentence-transformers==6.2.0 pillow
install open_clip torch==2.14.1 torchvision==0.29.1 open_clip_torch==3.3.0
install clip-retrieval torch==2.14.1 torchvision==0.29.1 clip-retrieval==2.45.0 'setuptools<80'
