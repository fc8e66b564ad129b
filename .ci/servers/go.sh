# shellcheck shell=bash
# The servers and tools that are built with Go. Sourced by .ci/servers.sh after cache.sh.

ggcr_version=0.22.1
regclient_version=0.11.7
distribution_version=3.1.2
etcd_version=3.6.5
kubernetes_version=1.34.4

# How long one command of a build may take before it is given up: kube-apiserver, the longest, takes
# 6 min on two cores.
command_seconds=900

# remaining_seconds: that, or what is left of the time for all builds.
remaining_seconds() {
  local left=$((budget_seconds - SECONDS))
  [ "$left" -lt "$command_seconds" ] || left=$command_seconds
  [ "$left" -gt 1 ] || left=1
  echo "$left"
}

# go_build OUTPUT PACKAGE [LDFLAGS]: one static binary, without symbols and without this machine's paths.
go_build() {
  CGO_ENABLED=0 bounded "$(remaining_seconds)" go build -trimpath -ldflags "-s -w ${3:-}" -o "$1" "$2"
}

# go_get MODULE@VERSION…: makes the requirements of the throw-away module in the current directory.
go_get() {
  bounded "$(remaining_seconds)" go get "$@"
}

go_containerregistry() {
  local package=github.com/google/go-containerregistry
  go mod init throw-away && go_get "$package/cmd/crane@v$ggcr_version" "$package/cmd/gcrane@v$ggcr_version" &&
    go_build "$1/crane" "$package/cmd/crane" "-X $package/cmd/crane/cmd.Version=v$ggcr_version" &&
    go_build "$1/gcrane" "$package/cmd/gcrane" "-X $package/cmd/crane/cmd.Version=v$ggcr_version"
}

regclient() {
  local package=github.com/regclient/regclient
  go mod init throw-away && go_get "$package/cmd/regctl@v$regclient_version" "$package/cmd/regsync@v$regclient_version" &&
    go_build "$1/regctl" "$package/cmd/regctl" && go_build "$1/regsync" "$package/cmd/regsync"
}

distribution() {
  local package=github.com/distribution/distribution/v3
  go mod init throw-away && go_get "$package/cmd/registry@v$distribution_version" &&
    go_build "$1/registry" "$package/cmd/registry" "-X $package/version.version=v$distribution_version"
}

etcd() {
  go mod init throw-away && go_get "go.etcd.io/etcd/server/v3@v$etcd_version" &&
    go_build "$1/etcd" go.etcd.io/etcd/server/v3
}

# k8s.io/kubernetes refuses `go install`: its go.mod replaces the staging modules by folders of its
# repository. They are published as v0.MINOR.PATCH, so a module with these replacements builds it.
kubernetes() {
  local staging="v0.${kubernetes_version#*.}" module version=k8s.io/component-base/version
  {
    echo 'module throw-away'
    for module in api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider \
      cluster-bootstrap code-generator component-base component-helpers controller-manager cri-api cri-client \
      csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator \
      kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils \
      pod-security-admission sample-apiserver sample-cli-plugin sample-controller; do
      echo "replace k8s.io/$module => k8s.io/$module $staging"
    done
  } >go.mod
  printf '%s\n' '//go:build tools' 'package tools' 'import (' '_ "k8s.io/kubernetes/cmd/kube-apiserver"' \
    '_ "k8s.io/kubernetes/cmd/kubectl"' ')' >tools.go
  go_get "k8s.io/kubernetes/cmd/kube-apiserver@v$kubernetes_version" \
    "k8s.io/kubernetes/cmd/kubectl@v$kubernetes_version" &&
    go_build "$1/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver "-X $version.gitVersion=v$kubernetes_version" &&
    go_build "$1/kubectl" k8s.io/kubernetes/cmd/kubectl "-X $version.gitVersion=v$kubernetes_version"
}
