# shellcheck shell=bash
# The servers and tools that Debian packages. Sourced by .ci/servers.sh after cache.sh.

# install_debian PACKAGE…: installs those whose program (of the same name) is missing.
install_debian() {
  local package missing=() as_root=()
  for package in "$@"; do
    if have "$package"; then
      printf '%-22s %-8s installed\n' "$package" "$(debian_version "$package")"
    else
      missing+=("$package")
    fi
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! have apt-get; then
    echo "${missing[*]}: not installed, this machine has no apt-get"
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! have sudo || ! sudo -n true 2>/dev/null; then
      echo "${missing[*]}: not installed, neither root nor sudo without a password"
      return 1
    fi
    as_root=(sudo -n)
  fi
  # The tests start their own servers: the package's service is not wanted, and RUNLEVEL=1 is how
  # Debian's invoke-rc.d is told so.
  bounded 300 "${as_root[@]}" apt-get -qq update </dev/null >/dev/null 2>&1
  for package in "${missing[@]}"; do
    if bounded 300 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
      apt-get -qq install -y --no-install-recommends "$package" </dev/null >/dev/null 2>&1; then
      printf '%-22s %-8s installed now\n' "$package" "$(debian_version "$package")"
    else
      echo "$package: apt-get install failed"
    fi
  done
}

# debian_version PACKAGE: its upstream version, empty where dpkg does not know it.
debian_version() {
  dpkg-query -W -f='${Version}' "$1" 2>/dev/null | sed 's/[+-].*//'
}
