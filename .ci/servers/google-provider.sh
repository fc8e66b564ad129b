# shellcheck shell=bash
# The google provider for Terraform, as a filesystem mirror. Sourced by .ci/servers.sh after go.sh.

google_provider_version=7.45.0
# The module path has no /v7, so its 7.x tags cannot be asked for by name: this is main of 2026-08-28.
google_provider_module=github.com/hashicorp/terraform-provider-google@v1.20.1-0.20260828184646-f3721fb45fa3

# The provider's full address, which is also its folder in a mirror, as Terraform itself completes it.
google_provider_address() {
  printf 'terraform {\n  required_providers {\n    google = { source = "hashicorp/google" }\n  }\n}\n' >main.tf
  TF_CLI_CONFIG_FILE=/dev/null terraform providers -no-color | sed -n 's/.*provider\[\(.*\)\].*/\1/p' | head -n 1
}

google_provider() {
  local address folder
  address=$(google_provider_address)
  [ -n "$address" ] || return 1
  folder=$1/plugins/$address/$google_provider_version/$(go env GOOS)_$(go env GOARCH)
  mkdir -p "$folder"
  # No `go mod tidy`: nothing here imports the provider, so it would drop the requirement.
  go mod init throw-away && go_get "$google_provider_module" &&
    go_build "$folder/terraform-provider-google_v${google_provider_version}_x5" github.com/hashicorp/terraform-provider-google &&
    printf '%s\n' 'provider_installation {' '  filesystem_mirror {' \
      "    path    = \"$cache/google-provider/$google_provider_version/plugins\"" \
      "    include = [\"$address\"]" '  }' '  direct {' "    exclude = [\"$address\"]" '  }' '}' >"$1/terraform.rc"
}
