# With a key of one's own, the service agents of the products encrypt with it. Terraform cannot make an agent
# (google_project_service_identity is google-beta's alone): `gcloud beta services identity create` does, or the root
# that calls the module, which then depends on it; see infra/README.md. Without it the grant fails with "does not
# exist" before anything is made.
locals {
  # Product → its key and its agent. The repository's project and key may be others than the services'.
  kms_agents = merge(
    var.kms_key_name == null ? {} : {
      pubsub = { key = var.kms_key_name, email = "service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com" }
      run    = { key = var.kms_key_name, email = "service-${data.google_project.this.number}@serverless-robot-prod.iam.gserviceaccount.com" }
    },
    var.kms_key_name == null || !local.creates_docker_config ? {} : {
      secretmanager = { key = var.kms_key_name, email = "service-${data.google_project.this.number}@gcp-sa-secretmanager.iam.gserviceaccount.com" }
    },
    local.repository_kms_key_name == null || !var.destination_repository.create ? {} : {
      artifactregistry = { key = local.repository_kms_key_name, email = "service-${local.destination_project_number}@gcp-sa-artifactregistry.iam.gserviceaccount.com" }
    },
  )

  destination_project_number = (
    local.destination.project == var.project_id
    ? data.google_project.this.number
    : one(data.google_project.destination[*].number)
  )
}

data "google_project" "destination" {
  count = local.repository_kms_key_name != null && var.destination_repository.create && local.destination.project != var.project_id ? 1 : 0

  project_id = local.destination.project
}

resource "google_kms_crypto_key_iam_member" "agent" {
  for_each = var.grant_service_agents ? local.kms_agents : {}

  crypto_key_id = each.value.key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${each.value.email}"

  depends_on = [google_project_service.this]
}
