# Before the first build there must be a repository to push the image into and an account to build as. This
# is applied once, by hand; everything else can then be applied by a pipeline.

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.40.0, < 9.0.0"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region
}

resource "google_project_service" "this" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudresourcemanager.googleapis.com", # Terraform looks the project up
    "containeranalysis.googleapis.com",    # keeps the provenance of builds
    "iam.googleapis.com",
    "run.googleapis.com", # the first deployment looks whether there is a job
    "storage.googleapis.com",
  ])

  service            = each.key
  disable_on_destroy = false
}

# The mirror's own image. Tags move (deployed-NAME), so they are not immutable; digests are what is deployed.
resource "google_artifact_registry_repository" "images" {
  location        = var.region
  repository_id   = var.repository_id
  description     = "Own images; mirrored ones have a repository of their own"
  format          = "DOCKER"
  labels          = var.labels
  kms_key_name    = var.kms_key_name
  deletion_policy = var.deletion_protection ? "PREVENT" : "DELETE"

  depends_on = [google_project_service.this]
}

# Who pulls the mirror's image besides Cloud Run: the nodes that the bridge runs on.
resource "google_artifact_registry_repository_iam_member" "image_reader" {
  for_each = toset(var.image_readers)

  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name # of the resource: made anew, it has lost its grants
  role       = "roles/artifactregistry.reader"
  member     = each.key
}

resource "google_service_account" "build" {
  account_id   = "${var.name}-build"
  display_name = "${var.name}: Cloud Build"

  depends_on = [google_project_service.this]
}

# Sources that `gcloud builds submit` uploads.
resource "google_storage_bucket" "source" {
  name                        = coalesce(var.bucket, "${var.project_id}-${var.name}-source")
  location                    = var.region
  labels                      = var.labels
  force_destroy               = !var.deletion_protection
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  deletion_policy             = var.deletion_protection ? "PREVENT" : "DELETE"

  dynamic "encryption" {
    for_each = var.kms_key_name[*]
    content {
      default_kms_key_name = encryption.value
    }
  }

  lifecycle_rule {
    condition {
      age = 30
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_storage_bucket_iam_member" "build_reads_source" {
  bucket = google_storage_bucket.source.id
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member
}

resource "google_artifact_registry_repository_iam_member" "build_pushes" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name # of the resource: made anew, it has lost its grants
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

# Logs; the second build that deploys the result of the first; the provenance that it looks at; and whether there is
# a job to deploy to: who may not see it is told that he may not, not that it is not there.
resource "google_project_iam_member" "build" {
  for_each = toset([
    "roles/cloudbuild.builds.editor",
    "roles/containeranalysis.occurrences.viewer",
    "roles/logging.logWriter",
    "roles/run.viewer",
  ])

  project = var.project_id
  role    = each.key
  member  = google_service_account.build.member
}

# The second build runs as the same account.
resource "google_service_account_iam_member" "build_acts_as_itself" {
  service_account_id = google_service_account.build.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.build.member
}

# deletion_protection, as infra/terraform/deletion.tf has it: what a plan can know, the plan refuses (another region or
# project would take the grants away before the repository refuses to go), and `terraform destroy` is refused
# before anything is gone.
locals {
  # What a change of makes the repository, the account or the bucket anew.
  identity = join(" ", compact([var.project_id, var.region, var.name, var.repository_id, var.bucket, var.kms_key_name]))
}

# What was made under protection. It keeps its first input until protection is lifted.
resource "terraform_data" "installed" {
  input            = local.identity
  triggers_replace = var.deletion_protection ? "protected" : local.identity

  lifecycle {
    ignore_changes = [input]
  }
}

resource "terraform_data" "deletion_guard" {
  input = var.deletion_protection ? "protected" : "free"

  provisioner "local-exec" {
    when    = destroy
    command = self.input == "protected" ? "echo deletion_protection is true: nothing was deleted. Apply it as false first. && exit 1" : "exit 0"
  }

  lifecycle {
    precondition {
      condition     = !var.deletion_protection || terraform_data.installed.output == local.identity
      error_message = "This state is of another project, region, name, repository, bucket or key, which would be deleted and made anew here. For a second project use a state of its own (terraform workspace new); if the change is meant, apply deletion_protection = false first."
    }
  }

  depends_on = [
    google_artifact_registry_repository.images,
    google_artifact_registry_repository_iam_member.build_pushes,
    google_artifact_registry_repository_iam_member.image_reader,
    google_project_iam_member.build,
    google_service_account_iam_member.build_acts_as_itself,
    google_storage_bucket_iam_member.build_reads_source,
  ]
}
