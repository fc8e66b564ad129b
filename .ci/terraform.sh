#!/usr/bin/env bash
# Checks the Terraform module without an account: `terraform.sh validate` or `terraform.sh test` (with
# the mocked providers of its tests). Nothing of it is left in the checkout: Terraform's working files,
# the lock file too, stay in a copy.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# Short-lived Go programs spend a quarter of their time on collecting what their end would free.
export GOGC=400 GOMEMLIMIT=300MiB
# The whole of infra/, so that relative paths between the module, its examples and other files hold.
cp -R infra "$copy/infra"
find "$copy" -name .terraform -type d -prune -exec rm -rf {} +
module=$copy/infra/terraform

# Modules that are checked: the root and each example.
modules=("$module")
for example in "$module"/examples/*/; do
  if compgen -G "$example*.tf" >/dev/null; then modules+=("${example%/}"); fi
done

initialise() {
  terraform -chdir="$1" init -backend=false -input=false -no-color >"$copy/init.log" 2>&1 || {
    cat "$copy/init.log"
    echo 'terraform init failed; bash .ci/servers.sh google-provider brings the provider'
    return 1
  }
}

case ${1:-} in
  validate)
    for folder in "${modules[@]}"; do
      echo "${folder#"$copy/"}"
      initialise "$folder"
      terraform -chdir="$folder" validate -no-color
    done
    ;;
  test)
    code=0
    for folder in "${modules[@]}"; do
      compgen -G "$folder/tests/*.tftest.hcl" >/dev/null || continue
      echo "${folder#"$copy/"}"
      initialise "$folder"
      # All are told, also after one has failed.
      terraform -chdir="$folder" test -no-color || code=1
    done
    exit "$code"
    ;;
  *)
    echo 'usage: terraform.sh validate|test' >&2
    exit 2
    ;;
esac
