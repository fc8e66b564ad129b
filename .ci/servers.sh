#!/usr/bin/env bash
# Brings the real servers and tools that test/real and infra/terraform can use, each of them once:
# what is built is kept by version in ${XDG_CACHE_HOME:-~/.cache}/imagerepo-mirror, and a second run
# costs nothing. What cannot be had is named, and the rest goes on: the tests skip what is missing.
#
#   bash .ci/servers.sh            all of them
#   bash .ci/servers.sh etcd …     only these: debian, or the names that are printed
#   . ~/.cache/imagerepo-mirror/env.sh    the environment that the tests read
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=servers/cache.sh
. "$here/servers/cache.sh"
# shellcheck source=servers/debian.sh
. "$here/servers/debian.sh"
# shellcheck source=servers/go.sh
. "$here/servers/go.sh"
# shellcheck source=servers/google-provider.sh
. "$here/servers/google-provider.sh"

# All builds together; one that would begin later is left to the next run.
budget_seconds=${SERVERS_BUDGET_SECONDS:-1500}
names=(debian go-containerregistry regclient distribution etcd kubernetes google-provider)
for name in "$@"; do
  if [[ " ${names[*]} " != *" $name "* ]]; then
    echo "unknown: $name (one of: ${names[*]})" >&2
    exit 2
  fi
done
wanted=" $* "

asked() {
  [ "$wanted" = "  " ] || [[ $wanted == *" $1 "* ]]
}

# bring NAME VERSION RECIPE PROGRAM…
bring() {
  local name=$1 version=$2 recipe=$3
  shift 3
  asked "$name" || return 0
  if built "$name" "$version"; then
    :
  elif ! have go; then
    printf '%-22s %-8s not built: Go is not installed\n' "$name" "$version"
    return 0
  elif [ "$SECONDS" -ge "$budget_seconds" ]; then
    printf '%-22s %-8s not built: the %d s for builds are used up\n' "$name" "$version" "$budget_seconds"
    return 0
  fi
  build "$name" "$version" "$recipe"
  link "$name" "$version" "$@"
}

# own_assets: whether somebody else's KUBEBUILDER_ASSETS has the API server and its store already.
own_assets() {
  local assets=${KUBEBUILDER_ASSETS:-}
  [ -n "$assets" ] && [ "$assets" != "$cache/bin" ] && [ -x "$assets/kube-apiserver" ] && [ -x "$assets/etcd" ]
}

write_environment() {
  local file=$cache/env.sh assets=$cache/bin settings=$cache/google-provider/$google_provider_version/terraform.rc new
  new=$(mktemp "$file.XXXXXX")
  {
    echo "export PATH=\"$cache/bin:\$PATH\""
    if [ -x "$assets/kube-apiserver" ] && [ -x "$assets/etcd" ] && [ -x "$assets/kubectl" ]; then
      echo "export KUBEBUILDER_ASSETS=\"\${KUBEBUILDER_ASSETS:-$assets}\""
    fi
    [ ! -f "$settings" ] || echo "export TF_CLI_CONFIG_FILE=\"$settings\""
  } >"$new"
  mv "$new" "$file"
  echo "environment: $file"
}

if asked debian; then
  install_debian docker-registry skopeo || true
fi
bring go-containerregistry "$ggcr_version" go_containerregistry crane gcrane
bring regclient "$regclient_version" regclient regctl regsync
bring distribution "$distribution_version" distribution registry
if own_assets; then
  echo "kube-apiserver and etcd: those of KUBEBUILDER_ASSETS"
else
  bring etcd "$etcd_version" etcd etcd
  bring kubernetes "$kubernetes_version" kubernetes kube-apiserver kubectl
fi
if ! have terraform; then
  echo 'terraform: not found, so its google provider is not built'
else
  bring google-provider "$google_provider_version" google_provider
fi
write_environment
