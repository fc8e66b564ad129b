# shellcheck shell=bash
# Reads the totals of test runs from their output. Each function prints `PASSED FAILED`. Sourced by .ci/run.

# node_test_totals LOG: node's test runner, which ends with lines `ℹ pass 12` (spec) or `# pass 12` (TAP).
# A cancelled test (its file broke, or it ran out of time) is one that failed.
node_test_totals() {
  sed $'s/\x1b\\[[0-9;]*m//g' "$1" | awk '
    $1 == "#" || $1 == "ℹ" {
      if (NF == 3 && $3 ~ /^[0-9]+$/) {
        if ($2 == "pass") passed += $3
        if ($2 == "fail" || $2 == "cancelled") failed += $3
      }
    }
    END { print passed + 0, failed + 0 }'
}

# terraform_test_totals LOG: Terraform ends with `Success! 12 passed, 0 failed.`
terraform_test_totals() {
  sed $'s/\x1b\\[[0-9;]*m//g' "$1" | awk '
    /^(Success|Failure)!/ {
      for (i = 2; i <= NF; i += 1) {
        if ($i ~ /^passed/) passed += $(i - 1)
        if ($i ~ /^failed/) failed += $(i - 1)
      }
    }
    END { print passed + 0, failed + 0 }'
}
