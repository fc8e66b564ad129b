# Credentials of private sources: one docker config (the file that `docker login` writes), mounted as a
# file at the version `latest`. The service reads it again after 5 minutes and on a 401, so that a new
# version needs no new revision. Terraform never sees what is in it.
locals {
  uses_secrets          = var.source_credentials != null || var.source_ca_secret_id != null
  creates_docker_config = var.source_credentials == null ? false : var.source_credentials.create
  docker_config_secret = (
    var.source_credentials == null ? null
    : local.creates_docker_config ? google_secret_manager_secret.docker_config[0].secret_id
    : coalesce(var.source_credentials.secret_id, "${var.name}-docker-config")
  )

  # Files that the containers see, by volume name; a secret mounted as a volume is a folder of its own. The grant
  # is on the resource: a secret that is made anew has lost it.
  secret_files = merge(
    local.docker_config_secret == null ? {} : {
      docker-config = {
        secret  = local.docker_config_secret
        granted = try(google_secret_manager_secret.docker_config[0].id, local.docker_config_secret)
        folder  = "/secrets/docker-config"
        file    = "config.json"
      }
    },
    var.source_ca_secret_id == null ? {} : {
      source-ca = { secret = var.source_ca_secret_id, granted = var.source_ca_secret_id, folder = "/secrets/source-ca", file = "ca.pem" }
    },
  )
}

resource "google_secret_manager_secret" "docker_config" {
  count = local.creates_docker_config ? 1 : 0

  project             = var.project_id
  secret_id           = coalesce(var.source_credentials.secret_id, "${var.name}-docker-config")
  labels              = local.labels
  deletion_protection = var.deletion_protection

  replication {
    # In the region that reads it and nowhere else, as the messages and the images are.
    user_managed {
      replicas {
        location = var.region
        dynamic "customer_managed_encryption" {
          for_each = var.kms_key_name[*]
          content {
            kms_key_name = customer_managed_encryption.value
          }
        }
      }
    }
  }

  # A secret of an earlier version is replicated everywhere, which cannot be changed: it stays as it is, with the
  # operator's versions, until region or key are others.
  lifecycle {
    ignore_changes       = [replication]
    replace_triggered_by = [terraform_data.secret_replication]
  }

  depends_on = [google_project_service.this, google_kms_crypto_key_iam_member.agent]
}

resource "terraform_data" "secret_replication" {
  input = compact([var.region, var.kms_key_name])
}

# A revision cannot start while a mounted secret has no version. This one holds no credentials; the
# operator's versions come after it and are not Terraform's. It may be disabled, never destroyed: Terraform
# would put an empty one after the operator's.
resource "google_secret_manager_secret_version" "docker_config" {
  count = local.creates_docker_config ? 1 : 0

  secret          = google_secret_manager_secret.docker_config[0].id
  secret_data     = jsonencode({ auths = {} })
  deletion_policy = "ABANDON"

  lifecycle {
    ignore_changes = [enabled, secret_data]
  }
}

resource "google_secret_manager_secret_iam_member" "mirror" {
  for_each = local.secret_files

  project   = var.project_id
  secret_id = each.value.granted
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.mirror.member
}
