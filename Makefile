# From a fresh clone, as root on Debian 12, every target installs what it is missing: Debian packages,
# then a virtual environment inside the checkout.  A second run finds the stamps and starts at once.
#
#   make demo            watch a VM move between two switches, its policy ahead of it
#   make demo-page       the same on the live page, http://127.0.0.1:8080/, until Ctrl-C
#   make lab             the cluster with a prompt: requests, moves rung by rung, worksheets
#   make demo-cluster    the same with three bridges and three servers of their store; the leader is killed meanwhile
#   make test            all tests;       make PYTHON=python3.12 test   under another interpreter
#   make test-hypervisor     `virsh migrate` between unmodified libvirt, lldpad and QEMU, under software emulation
#   make test-page       the live page and the manual in a browser
#   make shown           what users see, as pictures and texts, into reports/shown
#   make test-kernel     the demo on the kernel's datapath, in a guest under software emulation
#   make lint            style, types and who may import whom
#   make bench           the figures;     make soak   the long tests;   make docs   the manual
#   make bench-ovn       a race against OVN, whose Debian packages it installs
#   make bench-scale     the figures of the larger cluster, up to 256 nodes, and of pods
#   make test-deb        the Debian package of the bridge in a minimal Debian, and the lines for pip, uv and pipx
#   make deb             the Debian package evbridge, in dist/
#   make deb-station     the Debian package evbridge-station, in dist/
#   make dist            a wheel and a source distribution for a package index, in dist/
#   make clean           remove everything the other targets made in the checkout

PYTHON ?= /usr/bin/python3
VENV ?= .venv$(if $(filter-out /usr/bin/python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN = $(CURDIR)/$(VENV)/bin
IN_VENV = env PATH="$(BIN):$$PATH"
# The same verdict twice: neither draws nor the order of a set differ from run to run.  Controllers are started by the
# hundred: their modules are compiled once, whatever the environment says.
PYTEST = $(IN_VENV) PYTHONDONTWRITEBYTECODE= PYTHONHASHSEED=0 python -m pytest --durations=10 --dist worksteal
PIP = env PIP_CONSTRAINT=$(CURDIR)/constraints.txt PIP_BUILD_CONSTRAINT=$(CURDIR)/constraints-build.txt \
      PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip install -qq

PYTHON_DEBS = ca-certificates $(if $(filter /usr/bin/python3,$(PYTHON)),python3 python3-venv)
NETWORK_DEBS = curl openvswitch-switch lldpad mininet tcpdump tshark iproute2 iputils-ping ethtool iperf3 procps \
    dnsmasq-base busybox haproxy nftables prometheus strace
DEB_DEBS = dpkg-dev debhelper dh-python python3-click mmdebstrap systemd
# In the Debian in which the package evbridge is installed, beside what its control file names; with ovsdb-server.
BRIDGE_DEBS = python3 libstdc++6 logrotate man-db openvswitch-common
OVN_DEBS = ovn-central ovn-host
PAGE_DEBS = chromium
EMULATION_DEBS = qemu-system-x86 kmod
HYPERVISOR_DEBS = $(EMULATION_DEBS) qemu-utils libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients python3-libvirt
# In a Debian of their own: what docs/hypervisors.rst installs, and ssh between two of them.
TYPED_DEBS = lldpad libvirt-daemon-system libvirt-clients qemu-system-x86 openvswitch-switch openssh-server netcat-openbsd \
    iproute2

# Fast suites first: what is broken should be told early.  PURE computes and nothing else; controllers and clusters wait
# more than they work and have namespaces of their own, so five and three go together.
PURE = $(wildcard tests/unit tests/property tests/golden tests/pair)
REAL = $(wildcard tests/packaging tests/app tests/interop)
CLUSTERS = $(wildcard mininet_tests)
HYPERVISORS = $(wildcard tests/hypervisor)
PAGE = $(wildcard tests/page)
INSTALLATION = $(wildcard tests/installation)
GUEST_KERNEL = $(VENV)/guest-kernel
CONTROLLERS_AT_ONCE ?= 5
CLUSTERS_AT_ONCE ?= 3
DEBIAN_ROOT = $(VENV)/debian-root.tar
DEBIAN_BRIDGE = $(VENV)/debian-bridge-and-store.tar
PYTHON_ROOTS = $(VENV)/python-bookworm.tar $(VENV)/python-trixie.tar
DEBIAN_HYPERVISOR = $(VENV)/debian-hypervisor

.DEFAULT_GOAL := help
.PHONY: help demo demo-cluster demo-page lab test test-pure test-real test-clusters test-deb test-hypervisor test-page \
    test-kernel bench bench-ovn bench-scale soak soak-draws soak-long lint style types imports docs pictures deb deb-station dist clean shown \
    python-debs network-debs venv-debs emulation-debs deb-debs ovn-debs hypervisor-debs page-debs
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

# Options of the command: make demo-cluster OPTIONS='--patience 2'
OPTIONS ?=
demo: network-debs $(VENV)/mininet.stamp
	@$(IN_VENV) evbridge demo $(OPTIONS)

demo-page: network-debs $(VENV)/mininet.stamp
	@$(IN_VENV) evbridge demo --page $(OPTIONS)

lab: network-debs $(VENV)/mininet.stamp
	@$(IN_VENV) evbridge lab

demo-cluster: network-debs $(VENV)/mininet.stamp
	@$(IN_VENV) evbridge demo --cluster $(OPTIONS)

# All three, one after the other, even if the first finds something.
test: network-debs deb-debs $(VENV)/test.stamp $(DEBIAN_ROOT)
	@$(MAKE) --no-print-directory --keep-going -j1 test-pure test-real test-clusters

test-pure:
	@echo "Testing: $(PURE)"
	@$(PYTEST) -n auto $(PURE)

test-real:
	@echo "Testing: $(REAL), $(CONTROLLERS_AT_ONCE) at a time"
	@EVBRIDGE_DEBIAN_ROOT=$(CURDIR)/$(DEBIAN_ROOT) $(PYTEST) -n $(CONTROLLERS_AT_ONCE) $(REAL)

test-clusters:
	@echo "Testing: $(CLUSTERS), $(CLUSTERS_AT_ONCE) clusters at a time"
	@$(PYTEST) -n $(CLUSTERS_AT_ONCE) $(CLUSTERS)

# The live page and the manual in Debian's Chromium.
test-page: network-debs page-debs $(VENV)/page.stamp $(VENV)/docs.stamp
	@echo "Testing: $(PAGE)"
	@$(PYTEST) $(PAGE)

# The package is built anew, as an operator builds it; among others by the lines for pip of docs/installation.rst, which
# are run, too, with those for uv and pipx.
test-deb: network-debs deb-debs venv-debs $(VENV)/test.stamp $(DEBIAN_BRIDGE) $(PYTHON_ROOTS)
	@echo "Testing: $(INSTALLATION)"
	@EVBRIDGE_DEBIAN_ROOT=$(CURDIR)/$(DEBIAN_BRIDGE) EVBRIDGE_PYTHON_ROOTS=$(CURDIR)/$(VENV) \
	    $(PYTEST) $(INSTALLATION)

# Guests under software emulation: one at a time, two cores are busy with it.
test-hypervisor: network-debs deb-debs hypervisor-debs $(VENV)/test.stamp $(GUEST_KERNEL)/unpacked $(DEBIAN_HYPERVISOR)/unpacked
	@echo "Testing: $(HYPERVISORS)"
	@EVBRIDGE_GUEST_KERNEL=$(CURDIR)/$(GUEST_KERNEL) EVBRIDGE_DEBIAN_HYPERVISOR=$(CURDIR)/$(DEBIAN_HYPERVISOR) \
	    $(PYTEST) $(HYPERVISORS)

# Another Open vSwitch lies over this machine's: make test-kernel OPENVSWITCH=trixie
OPENVSWITCH ?=
LAYER = $(OPENVSWITCH:%=$(VENV)/openvswitch-%)
# Another command in that guest: make test-kernel IN_GUEST='python -m pytest mininet_tests/test_firewall.py'
IN_GUEST ?= evbridge demo --output /tmp/demo

test-kernel: network-debs emulation-debs $(VENV)/test.stamp $(GUEST_KERNEL)/unpacked $(LAYER:%=%/unpacked)
	@echo "Running in a guest: $(IN_GUEST)"
	@$(IN_VENV) python -m compileall -q ryu_apps mininet_tests
	@$(IN_VENV) PYTHONHASHSEED=0 EVBRIDGE_DATAPATH=system python -m tools.run_in_guest $(LAYER:%=--layer %) \
	    --keep PATH --keep PYTHONHASHSEED --keep EVBRIDGE_DATAPATH $(GUEST_KERNEL) $(IN_GUEST)

bench: network-debs $(VENV)/test.stamp
	@echo "Measuring (ratios in one interleaved run; see bench/)"
	@$(IN_VENV) python -m bench

bench-ovn: network-debs ovn-debs $(VENV)/test.stamp
	@echo "Racing against OVN (some minutes)"
	@$(IN_VENV) python -m bench.race

bench-scale: network-debs $(VENV)/test.stamp
	@echo "Measuring the larger cluster at 1, 4 and 16 times its size, and four pods (some minutes)"
	@$(IN_VENV) python -m bench.scale
	@$(IN_VENV) python -m bench.pods

# Draws, and the order of tests that know no world but their own, differ from run to run; `make soak SEED=...` has them again.
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
SOAK = $(IN_VENV) PYTHONHASHSEED=$(SEED) \
    python -m pytest --timeout 0 --hypothesis-profile soak --hypothesis-seed $(SEED)

soak: network-debs $(VENV)/test.stamp
	@$(MAKE) --no-print-directory --keep-going -j1 SEED=$(SEED) soak-draws soak-long

soak-draws:
	@echo "Testing with draws of seed $(SEED): $(PURE)"
	@$(SOAK) -n auto --shuffle $(SEED) $(PURE)

soak-long:
	@echo "Running the long tests with seed $(SEED)"
	@$(SOAK) -m soak $(PURE) $(REAL) $(CLUSTERS)

# All three, even if the first finds something.
lint: $(VENV)/lint.stamp
	@$(MAKE) --no-print-directory --keep-going style types imports

style: $(VENV)/lint.stamp
	@echo "Style:   ruff check, ruff format"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .

# With one cache, each of the two discards what the other has stored: their options differ.
types: $(VENV)/lint.stamp
	@echo "Types:   mypy, strict on the pure packages and the testbed"
	@$(BIN)/mypy --no-error-summary --cache-dir .mypy_cache/strict --strict -p ryu_apps.evb -p ryu_apps.station -p ryu_apps.vcm -p ryu_apps.ovf -p ryu_apps.testbed
	@$(BIN)/mypy --no-error-summary --cache-dir .mypy_cache/plain

imports: $(VENV)/lint.stamp
	@echo "Imports: import-linter"
	@$(BIN)/lint-imports --no-logo

docs: $(VENV)/docs.stamp pictures
	@$(IN_VENV) sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "The manual is docs/_build/html/index.html"

# From what was recorded: a tree whose drawing code is unchanged stays as it is.
pictures: $(VENV)/docs.stamp
	@$(IN_VENV) python -m tools.draw_pictures

# Pictures of the live page and the manual, answers of commands and REST, of the demo while a VM moves.
shown: network-debs page-debs $(VENV)/mininet.stamp $(VENV)/page.stamp docs
	@$(IN_VENV) python -m tools.shown

# Its virtual environment is Debian's Python's, whatever PYTHON is.
deb: deb-debs venv-debs
	@tools/build-deb evbridge

deb-station: deb-debs
	@tools/build-deb evbridge-station

# With the setuptools of this virtual environment: the one that builds Ryu writes metadata of 2023.
dist: $(VENV)/dist.stamp
	@$(BIN)/python -m build --no-isolation --outdir dist

clean:
	rm -rf .venv .venv-* build dist *.egg-info docs/_build reports .pytest_cache .mypy_cache .ruff_cache \
	    .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

python-debs:
	@tools/debian-packages $(PYTHON_DEBS)

network-debs:
	@tools/debian-packages $(NETWORK_DEBS)

venv-debs:
	@tools/debian-packages python3 python3-venv

ovn-debs:
	@tools/debian-packages $(OVN_DEBS)

deb-debs:
	@tools/debian-packages $(DEB_DEBS)

emulation-debs:
	@tools/debian-packages $(EMULATION_DEBS)

page-debs:
	@tools/debian-packages $(PAGE_DEBS)

hypervisor-debs:
	@tools/debian-packages $(HYPERVISOR_DEBS)

$(GUEST_KERNEL)/unpacked: | $(VENV)/pip.stamp
	@tools/guest-kernel $(GUEST_KERNEL)

# In it the package evbridge-station is tested.
$(DEBIAN_ROOT): tools/debian-root debian/control | $(VENV)/pip.stamp deb-debs
	@tools/debian-root $@ evbridge-station python3-libvirt

# In it the package evbridge is.
$(DEBIAN_BRIDGE): tools/debian-root debian/control | $(VENV)/pip.stamp deb-debs
	@tools/debian-root $@ evbridge $(BRIDGE_DEBS)

# In them the lines for pip, uv and pipx are run, with the Python of each Debian.
$(VENV)/python-%.tar: tools/debian-root debian/control | $(VENV)/pip.stamp deb-debs
	@SUITE=$* tools/debian-root $@ evbridge $(BRIDGE_DEBS) python3-venv ca-certificates

# In it the commands of docs/hypervisors.rst are typed.
$(DEBIAN_HYPERVISOR)/unpacked: tools/debian-root debian/control | $(VENV)/pip.stamp deb-debs
	@tools/debian-root $(@D) evbridge-station python3-libvirt $(TYPED_DEBS)

$(VENV)/openvswitch-%/unpacked: | $(VENV)/pip.stamp
	@tools/newer-openvswitch $(@D) $*

# Ryu does not build with the pip that Debian puts into a virtual environment.
$(VENV)/pip.stamp: constraints.txt | python-debs
	@echo "Creating the virtual environment $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip setuptools wheel
	@touch $@

# One stamp for each extra of setup.cfg.
$(VENV)/%.stamp: $(VENV)/pip.stamp setup.cfg setup.py pyproject.toml evbridge.pth evbridge_hook.py constraints.txt constraints-build.txt
	@echo "Installing evbridge with its $* dependencies into $(VENV)"
	@$(PIP) --editable '.[$*]'
	@touch $@

.PRECIOUS: $(VENV)/pip.stamp $(VENV)/%.stamp
