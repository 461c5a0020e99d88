# Shared by ./run and scripts/check. Sourced from the repository root.

# Compiling one of the larger files takes about 1.5 GB, so memory limits the jobs as cores do.
jobs() {
  local cores memory_gb
  cores=$(nproc)
  memory_gb=$(awk '/^MemAvailable/ {print int($2 / 1572864)}' /proc/meminfo)
  [ "$memory_gb" -ge 1 ] || memory_gb=1
  [ "$memory_gb" -lt "$cores" ] && cores=$memory_gb
  echo "${HEED_JOBS:-$cores}"
}

# Another clone of the same source, in another folder, finds what was compiled before.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-true}

# Data sets lie beside the project, never in it. Tests read HEED_DATA.
find_data() {
  if [ -z "${HEED_DATA:-}" ] && [ -d ../shared/data ]; then
    HEED_DATA=$(cd ../shared/data && pwd)
  fi
  [ -z "${HEED_DATA:-}" ] || export HEED_DATA
}

# configure PRESET: once; CMake itself runs again when its files change.
configure() {
  [ -f "build/$1/build.ninja" ] || cmake --preset "$1"
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  configure "$preset"
  cmake --build "build/$preset" -j "$(jobs)" ${1:+--target "$@"}
}

# targets PRESET SUFFIX: the names of the CMake targets that end so.
targets() {
  ninja -C "build/$1" -t targets all | sed -n "s/^\([a-z0-9_]*$2\): phony\$/\1/p" |
    grep -v "^cmake_object_order" | sort -u
}

# existing PRESET TARGET...: those of them that the preset has.
existing() {
  local preset=$1 name
  shift
  configure "$preset" >&2 || return
  for name in "$@"; do
    if grep -q "^build $name: phony" "build/$preset/build.ninja"; then echo "$name"; fi
  done
}

# binary PRESET TARGET: where the build put it.
binary() {
  find "build/$1" -name "$2" -type f -perm -u+x -print -quit
}

# In CI a test that skips for want of data is a failure: a green run must mean that it ran.
refuse_skips_for_data() {
  local skipped
  [ -n "${CI:-}" ] || return 0
  skipped=$(grep -A4 -E ': Skipped$' "build/$1/Testing/Temporary/LastTest.log") || return 0
  if [[ $skipped == *HEED_DATA* ]]; then
    echo "tests were skipped because HEED_DATA names no data; in CI that is a failure:" >&2
    grep -B2 HEED_DATA <<<"$skipped" >&2
    return 1
  fi
}

# tests PRESET CTEST_ARGS...
tests() {
  local preset=$1
  shift
  find_data
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$(jobs)" "$@" &&
    refuse_skips_for_data "$preset"
}
