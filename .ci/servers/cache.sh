# shellcheck shell=bash
# The cache outside the checkout that holds what .ci/servers.sh builds. Sourced, not run.
#
#   $cache/NAME/VERSION/…   one finished build, never changed afterwards
#   $cache/bin/…            links to the builds of the pinned versions
#   $cache/env.sh           the environment that the tests read

cache=${XDG_CACHE_HOME:-$HOME/.cache}/imagerepo-mirror
mkdir -p "$cache/bin"

# have PROGRAM: whether it is on PATH.
have() {
  command -v "$1" >/dev/null 2>&1
}

# bounded SECONDS COMMAND…: runs a command, ended after that time where coreutils' timeout exists.
bounded() {
  local seconds=$1
  shift
  if have timeout; then
    timeout -k 10 "$seconds" "$@"
  else
    "$@"
  fi
}

# built NAME VERSION: whether the cache holds a finished build.
built() {
  [ -d "$cache/$1/$2" ]
}

# build NAME VERSION RECIPE: makes $cache/NAME/VERSION with `RECIPE FOLDER`, a function that fills
# FOLDER and works in the current directory, which is an empty throw-away one. The folder appears
# under its name only when the recipe has succeeded, so a broken build leaves nothing behind.
build() {
  local name=$1 version=$2 recipe=$3 work code began=$SECONDS
  mkdir -p "$cache/$name"
  (
    # A second run at the same time waits, and then finds the first one's build.
    if ! built "$name" "$version" && have flock; then
      exec 9>"$cache/$name/.lock"
      flock 9
    fi
    if built "$name" "$version"; then
      printf '%-22s %-8s in the cache\n' "$name" "$version"
      exit 0
    fi
    work=$(mktemp -d "$cache/$name/.building.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/out" "$work/module"
    cd "$work/module" || exit 1
    "$recipe" "$work/out" >"$work/log" 2>&1 </dev/null
    code=$?
    if [ "$code" -ne 0 ]; then
      printf '%-22s %-8s FAILED after %d s, exit code %d, the last lines of its build:\n' \
        "$name" "$version" "$((SECONDS - began))" "$code"
      tail -n 15 "$work/log" | sed 's/^/    /'
      exit 1
    fi
    mv "$work/out" "$cache/$name/$version"
    printf '%-22s %-8s built in %d s\n' "$name" "$version" "$((SECONDS - began))"
  )
}

# link NAME VERSION PROGRAM…: puts the programs of a finished build into $cache/bin.
link() {
  local name=$1 version=$2 program
  shift 2
  built "$name" "$version" || return 0
  for program in "$@"; do
    ln -sfn "../$name/$version/$program" "$cache/bin/$program"
  done
}
