# With a key of one's own, the service agents of the products encrypt with it. An agent exists once its
# product was used in the project; `gcloud beta services identity create` makes it before that.
locals {
  kms_agents = var.kms_key_name == null ? {} : merge(
    {
      artifactregistry = "service-${local.destination_project_number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
      pubsub           = "service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
      run              = "service-${data.google_project.this.number}@serverless-robot-prod.iam.gserviceaccount.com"
    },
    local.creates_docker_config ? {
      secretmanager = "service-${data.google_project.this.number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
    } : {},
  )

  destination_project_number = (
    local.destination.project == var.project_id
    ? data.google_project.this.number
    : one(data.google_project.destination[*].number)
  )
}

data "google_project" "destination" {
  count = var.kms_key_name != null && local.destination.project != var.project_id ? 1 : 0

  project_id = local.destination.project
}

resource "google_kms_crypto_key_iam_member" "agent" {
  for_each = local.kms_agents

  crypto_key_id = var.kms_key_name
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${each.value}"
}
