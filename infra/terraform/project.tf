data "google_project" "this" {
  project_id = var.project_id
}

locals {
  apis = toset(concat(
    [
      "artifactregistry.googleapis.com",
      "iam.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "pubsub.googleapis.com",
      "run.googleapis.com",
    ],
    local.uses_secrets ? ["secretmanager.googleapis.com"] : [],
    var.network == null ? [] : ["compute.googleapis.com"],
    length(local.kms_agents) == 0 ? [] : ["cloudkms.googleapis.com"],
    var.binary_authorization == null ? [] : ["binaryauthorization.googleapis.com"],
    var.otlp ? ["telemetry.googleapis.com"] : [],
  ))

  # What Terraform may delete of what holds images or messages: nothing, until deletion_protection is applied
  # as false. deletion.tf keeps the rest in place with it.
  deletion_policy = var.deletion_protection ? "PREVENT" : "DELETE"

  labels = merge({ "app" = "imagerepo-mirror", "managed-by" = "terraform" }, var.labels)
}

# Other users of the project may need an API too: removing the module leaves them enabled.
resource "google_project_service" "this" {
  for_each = var.enable_apis ? local.apis : toset([])

  project            = var.project_id
  service            = each.key
  disable_on_destroy = false
}
