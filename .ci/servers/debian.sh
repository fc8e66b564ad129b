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
  bounded 120 "${as_root[@]}" apt-get -qq update </dev/null >/dev/null 2>&1
  for package in "${missing[@]}"; do
    # RUNLEVEL=1 tells Debian's invoke-rc.d that the package's service is not to be started.
    if bounded 300 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
      apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$package" \
      </dev/null >/dev/null 2>&1; then
      # systemd does not heed that. The tests start servers of their own.
      if [ -d /run/systemd/system ] && [ -f "/lib/systemd/system/$package.service" ]; then
        "${as_root[@]}" systemctl --quiet disable --now "$package.service" </dev/null >/dev/null 2>&1
      fi
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
