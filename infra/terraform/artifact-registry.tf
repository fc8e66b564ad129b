locals {
  # HOST/PROJECT/REPOSITORY[/PATH], as the variable's validation has it.
  destination_parts = split("/", var.destination_registry)
  destination = {
    location = regex(local.registry_host, local.destination_parts[0])[0]
    project  = local.destination_parts[1]
    name     = local.destination_parts[2]
  }

  # The location in a host's name: "LOCATION-docker.pkg.dev", or "docker.LOCATION.rep.pkg.dev" of a regional
  # endpoint. https://docs.cloud.google.com/artifact-registry/docs/repositories/repo-locations
  registry_host = "^(?:docker\\.)?([a-z0-9-]+?)(?:-docker\\.pkg\\.dev|\\.rep\\.pkg\\.dev)$"

  # A key is of one location, and the repository's may be another than the services': europe, not europe-west1.
  repository_kms_key_name = try(coalesce(var.destination_repository.kms_key_name, var.kms_key_name), null)
}

resource "google_artifact_registry_repository" "destination" {
  count = var.destination_repository.create ? 1 : 0

  project       = local.destination.project
  location      = local.destination.location
  repository_id = local.destination.name
  description   = "Images mirrored by ${var.name}; every tag that Flux detects"
  format        = "DOCKER"
  labels        = local.labels
  kms_key_name  = local.repository_kms_key_name

  deletion_policy = local.deletion_policy

  # A tag that moves at the source is then reported as drift instead of being overwritten. The API answers
  # without a block that says no more than false, which a plan would want to add for ever.
  dynamic "docker_config" {
    for_each = var.destination_repository.immutable_tags ? [1] : []
    content {
      immutable_tags = true
    }
  }

  vulnerability_scanning_config {
    # Each pushed image is billed, and a mirror pushes every tag: stated, never left to the project's default.
    enablement_config = var.destination_repository.vulnerability_scanning ? "INHERITED" : "DISABLED"
  }

  cleanup_policy_dry_run = var.destination_repository.cleanup == null ? true : var.destination_repository.cleanup.dry_run

  # Off unless asked for. TAGGED only: referrers (signatures, attestations, SBOMs) and the platforms of an
  # index have no tag, and deleting them breaks images that stay.
  dynamic "cleanup_policies" {
    for_each = var.destination_repository.cleanup[*]
    content {
      id     = "delete-old-tags"
      action = "DELETE"
      condition {
        tag_state  = "TAGGED"
        older_than = cleanup_policies.value.older_than
      }
    }
  }

  # KEEP wins over DELETE. Age is the time of mirroring, so the newest are those mirrored last.
  dynamic "cleanup_policies" {
    for_each = var.destination_repository.cleanup[*]
    content {
      id     = "keep-newest"
      action = "KEEP"
      most_recent_versions {
        keep_count = cleanup_policies.value.keep_count
      }
    }
  }

  depends_on = [google_project_service.this, google_kms_crypto_key_iam_member.agent]
}

# A repository that somebody else owns is only looked up: a wrong name fails the plan, not the first push.
data "google_artifact_registry_repository" "existing" {
  count = var.destination_repository.create ? 0 : 1

  project       = local.destination.project
  location      = local.destination.location
  repository_id = local.destination.name

  lifecycle {
    postcondition {
      condition     = self.format == "DOCKER"
      error_message = "destination_registry names the repository ${local.destination.name}, whose format is ${self.format}: images need DOCKER."
    }
  }
}

# Who pulls: the nodes of clusters, mostly. In a project of their own, nodes may read nothing of this one.
resource "google_artifact_registry_repository_iam_member" "destination_reader" {
  for_each = toset(var.destination_readers)

  project    = local.destination.project
  location   = local.destination.location
  repository = local.destination_repository_id
  role       = "roles/artifactregistry.reader"
  member     = each.key
}

locals {
  # Of the resource, not as it was asked for: a repository that is made anew has lost its grants, and these must be
  # made anew with it.
  destination_repository_id = (
    var.destination_repository.create
    ? google_artifact_registry_repository.destination[0].name
    : data.google_artifact_registry_repository.existing[0].repository_id
  )
}

check "near_destination" {
  assert {
    # A multi-region ("europe") holds its regions ("europe-west1").
    condition     = startswith(var.region, local.destination.location)
    error_message = "The service runs in ${var.region} and the destination is in ${local.destination.location}: every byte is billed as traffic between them."
  }
}
