# --- required: where, what, from where, to where

variable "project_id" {
  description = "Project that the topics, the services and the job live in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id is a project's id (6 to 30 lower-case letters, digits and hyphens), neither its number nor its name."
  }
}

variable "region" {
  description = "Region of the services and the job, such as europe-west1. Best that of the destination: traffic within a region is free."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is one region, such as europe-west1; Cloud Run knows no multi-regions."
  }
}

variable "image" {
  description = "Image of the services and the job, by digest: LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/NAME@sha256:… as the build prints it. With image_managed_by_build only the first deployment uses it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9-]+-docker\\.pkg\\.dev|docker\\.[a-z0-9-]+\\.rep\\.pkg\\.dev)/[^/@:]+/[^/@:]+/[^@:]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image is LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/NAME@sha256:DIGEST: by digest, because a tag may be another image tomorrow, and without a tag beside it."
  }

  validation {
    condition     = !endswith(var.image, "@sha256:0000000000000000000000000000000000000000000000000000000000000000")
    error_message = "image has the digest of the examples, all zeros, which no image has: take the one that the build prints."
  }
}

variable "destination_registry" {
  description = "Where images are mirrored to: LOCATION-docker.pkg.dev/PROJECT/REPOSITORY, with an optional path below it. The repository is made here unless destination_repository.create is false."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9-]+-docker\\.pkg\\.dev|docker\\.[a-z0-9-]+\\.rep\\.pkg\\.dev)(/|$)", var.destination_registry))
    error_message = "destination_registry begins with an Artifact Registry host such as europe-docker.pkg.dev, without https://."
  }

  validation {
    condition     = can(regex("^[^/]+/[a-z][a-z0-9-]{4,28}[a-z0-9]/[a-z]([a-z0-9-]{0,61}[a-z0-9])?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$", var.destination_registry))
    error_message = "destination_registry wants HOST/PROJECT/REPOSITORY, optionally with a path of lower-case segments, and no slash at the end."
  }
}

variable "allowed_sources" {
  description = "Images that may be mirrored, such as [\"ghcr.io/my-org/*\"]; credentials are used for these only. An empty list allows any public host, anonymously. No default: an event comes from a less trusted place."
  type        = list(string)
  nullable    = false

  validation {
    condition = alltrue([
      for pattern in var.allowed_sources : can(regex("^([A-Za-z0-9_.*-]+|\\[[0-9a-fA-F:]+\\])(:[0-9]+)?(/[a-z0-9._*-][a-z0-9._/*-]*)?$", pattern))
    ])
    error_message = "allowed_sources holds HOST or HOST/PATH with * for any characters, in lower case, without https:// and without a tag."
  }

  validation {
    condition = alltrue([
      for pattern in var.allowed_sources : !startswith("${pattern}/", "${var.destination_registry}/")
    ])
    error_message = "allowed_sources has a pattern within destination_registry: the mirror would feed on itself."
  }
}

# --- installation

variable "name" {
  description = "Prefix of every name; several installations in a project need one each. Changing it makes everything anew, which deletion_protection refuses."
  type        = string
  default     = "imagerepo-mirror"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{3,21}[a-z0-9]$", var.name))
    error_message = "name has 5 to 23 lower-case letters, digits and hyphens, beginning with a letter: service accounts' ids add 7 and end at 30."
  }
}

variable "labels" {
  description = "Labels of everything that can have some."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))
    ])
    error_message = "labels have keys and values of at most 63 lower-case letters, digits, _ and -; a key begins with a letter."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the installation or a part of it that holds images, messages or credentials, before anything of it is deleted; a change that would make it anew is refused by the plan. To uninstall, or to take the module's block away, apply false first."
  type        = bool
  default     = true
  nullable    = false
}

variable "enable_apis" {
  description = "Whether the module enables the APIs that it needs. They stay enabled when it goes."
  type        = bool
  default     = true
  nullable    = false
}

variable "grant_service_agents" {
  description = "Whether the module lets the project's own service agents use the key and pull the image of another project. These are the project's, not the installation's: of several installations in a project one grants them, and whoever removes that one hands it on first."
  type        = bool
  default     = true
  nullable    = false
}

variable "kms_key_name" {
  description = "Cloud KMS key that topics, repository, secret, services and job are encrypted with: projects/P/locations/L/keyRings/R/cryptoKeys/K, in the region. A repository in another location has its own: destination_repository.kms_key_name. Null: Google's keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_name == null ? true : can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key_name))
    error_message = "kms_key_name is projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version."
  }
}

variable "allowed_persistence_regions" {
  description = "Regions that Pub/Sub may keep messages in. Empty: what the organisation's policy says."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for region in var.allowed_persistence_regions : can(regex("^[a-z]+-[a-z]+[0-9]+$", region))])
    error_message = "allowed_persistence_regions holds regions such as europe-west1."
  }
}

variable "network" {
  description = "Leave by a VPC network (Direct VPC egress): for private sources, or for sources that allow addresses. static_address adds a Cloud NAT with one address for this subnetwork, which must have no other; Private Google Access on the subnetwork keeps traffic to Artifact Registry off the NAT. Null: by Google's own network."
  type = object({
    network        = string
    subnetwork     = string
    egress         = optional(string, "ALL_TRAFFIC")
    static_address = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.network == null ? true : contains(["ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"], var.network.egress)
    error_message = "network.egress is ALL_TRAFFIC or PRIVATE_RANGES_ONLY."
  }

  validation {
    condition     = var.network == null ? true : !var.network.static_address || var.network.egress == "ALL_TRAFFIC"
    error_message = "network.static_address needs egress ALL_TRAFFIC: with PRIVATE_RANGES_ONLY public sources are not reached by the NAT."
  }

  validation {
    condition = (
      var.network == null ? true
      : !var.network.static_address || try(regex("^projects/([^/]+)/", var.network.network)[0], var.project_id) == var.project_id
    )
    error_message = "network.static_address needs a network of project_id: the NAT of a shared network is its own project's, so set static_address to false and allow that one's address."
  }
}

variable "binary_authorization" {
  description = "Policy of Binary Authorization that images of the services and the job must satisfy: default for the project's, or projects/P/platforms/cloudRun/policies/NAME. Null: none is asked."
  type        = string
  default     = null

  validation {
    condition     = var.binary_authorization == null ? true : can(regex("^(default|projects/[^/]+/platforms/cloudRun/policies/[^/]+)$", var.binary_authorization))
    error_message = "binary_authorization is default or projects/P/platforms/cloudRun/policies/NAME."
  }
}

# --- image: who deploys

variable "image_managed_by_build" {
  description = "Whether Cloud Build deploys new images (infra/deploy.cloudbuild.yaml) and Terraform follows, instead of Terraform deploying var.image."
  type        = bool
  default     = false
  nullable    = false
}

variable "build_service_account" {
  description = "E-mail of the service account that Cloud Build deploys as (examples/bootstrap makes it). Null: nobody but Terraform deploys."
  type        = string
  default     = null

  validation {
    condition     = var.build_service_account == null ? true : can(regex("^[^@:]+@[^@:]+\\.gserviceaccount\\.com$", var.build_service_account))
    error_message = "build_service_account is a service account's e-mail address, without serviceAccount: before it."
  }

  validation {
    condition     = !var.image_managed_by_build || var.build_service_account != null
    error_message = "build_service_account is needed where image_managed_by_build is true: without it nobody may deploy."
  }
}

# --- destination and sources

variable "destination_repository" {
  description = <<-E
    The repository of destination_registry.
    create: make it here; false: it exists, somebody else's Terraform has it.
    immutable_tags: tags cannot be moved; a moved tag at the source is reported as drift.
    vulnerability_scanning: each pushed image is billed, also those that nobody runs.
    kms_key_name: its key, where it is not in the region (europe): kms_key_name otherwise.
    cleanup: delete tags older than older_than (seconds with an s), but the keep_count newest versions of each
    image. A mirror copies back what is cleaned while it is still selected: it needs mirroring.latest, and
    keep_count ten times that (an index, its platforms and its signatures are versions each). dry_run only logs.
  E
  type = object({
    create                 = optional(bool, true)
    immutable_tags         = optional(bool, false)
    vulnerability_scanning = optional(bool, false)
    kms_key_name           = optional(string)
    cleanup = optional(object({
      older_than = string
      keep_count = number
      dry_run    = optional(bool, true)
    }))
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.destination_repository.cleanup == null ? true : can(regex("^[1-9][0-9]*s$", var.destination_repository.cleanup.older_than))
    error_message = "destination_repository.cleanup.older_than is a number of seconds with an s, such as 7776000s for 90 days."
  }

  validation {
    condition     = var.destination_repository.cleanup == null ? true : try(var.mirroring.latest, null) != null
    error_message = "destination_repository.cleanup needs mirroring.latest: a mirror copies back every tag that is cleaned while it is selected."
  }

  validation {
    condition = (
      var.destination_repository.cleanup == null || try(var.mirroring.latest, null) == null ? true
      : var.destination_repository.cleanup.keep_count >= 10 * var.mirroring.latest
    )
    error_message = "destination_repository.cleanup.keep_count is at least ten times mirroring.latest: an index, its platforms and its signatures are versions each, and a selected tag that is cleaned is copied back."
  }

  validation {
    condition = var.destination_repository.create ? true : (
      !var.destination_repository.immutable_tags && !var.destination_repository.vulnerability_scanning
      && var.destination_repository.cleanup == null && var.destination_repository.kms_key_name == null
    )
    error_message = "destination_repository.create = false leaves the repository as it is: immutable_tags, vulnerability_scanning, kms_key_name and cleanup are its owner's."
  }

  validation {
    condition     = var.destination_repository.kms_key_name == null ? true : can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.destination_repository.kms_key_name))
    error_message = "destination_repository.kms_key_name is projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version."
  }

  validation {
    condition     = !(var.destination_repository.immutable_tags && var.destination_repository.cleanup != null)
    error_message = "destination_repository: immutable tags cannot be deleted, so immutable_tags and cleanup exclude each other."
  }
}

variable "destination_readers" {
  description = "Who may pull what is mirrored: IAM members such as serviceAccount:NODES@PROJECT.iam.gserviceaccount.com, those of clusters' nodes above all. Where several installations share a repository, name them in one."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for member in var.destination_readers : can(regex("^(principal|principalSet|serviceAccount|user|group|domain):", member))
    ])
    error_message = "destination_readers holds IAM members such as serviceAccount:NODES@PROJECT.iam.gserviceaccount.com; never everybody."
  }
}

variable "source_repositories" {
  description = "Artifact Registry repositories that are sources, to be readable by the mirror: projects/P/locations/L/repositories/R. They also need a pattern in allowed_sources."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for name in var.source_repositories : can(regex("^projects/[^/]+/locations/[^/]+/repositories/[^/]+$", name))])
    error_message = "source_repositories holds full names: projects/PROJECT/locations/LOCATION/repositories/REPOSITORY."
  }
}

variable "source_credentials" {
  description = "Credentials of private sources: a Secret Manager secret of this project with a docker config. create makes an empty one (NAME-docker-config unless secret_id says otherwise), which `gcloud secrets versions add` fills; false mounts an existing one. Null: public sources only."
  type = object({
    create    = optional(bool, true)
    secret_id = optional(string)
  })
  default = null

  validation {
    condition     = try(var.source_credentials.secret_id, null) == null ? true : can(regex("^[A-Za-z0-9_-]{1,255}$", var.source_credentials.secret_id))
    error_message = "source_credentials.secret_id is the id alone, not projects/…/secrets/…: a mounted secret is one of the same project."
  }

  validation {
    condition     = var.source_credentials == null ? true : var.source_credentials.create || var.source_credentials.secret_id != null
    error_message = "source_credentials.create = false needs secret_id, the existing secret's id."
  }
}

variable "source_ca_secret_id" {
  description = "Id of an existing secret of this project with certificates (PEM) of authorities that sources are trusted by, beside the known ones. Null: only the known ones."
  type        = string
  default     = null

  validation {
    condition     = var.source_ca_secret_id == null ? true : can(regex("^[A-Za-z0-9_-]{1,255}$", var.source_ca_secret_id))
    error_message = "source_ca_secret_id is the id alone, not projects/…/secrets/…."
  }
}

# --- work

variable "mirroring" {
  description = <<-E
    What is mirrored, and how; what is not given has the default of the code (npm run mirror -- --help).
    layout: path below the destination: host-path, path or name; the bridge is told the same.
    include, exclude, semver, latest: the selection for objects without annotations of their own.
    verify_tags, resync_verify: existing tags that are compared with the source: mutable, all, none; mutable_tags says which are.
    on_drift: overwrite or report. backup_tag: tag that an overwritten digest gets first, such as backup-{tag}-{digest}. referrers: signatures and attestations too.
    platforms: of an index only what these pull, such as linux/amd64; ["all"]: everything, also what an earlier list left out.
    max_missing_tags: the brake. batch_tags, job_threshold_bytes: when work is divided or handed to the job (0: always, -1: never).
    allowed_destinations: namespace → paths that its objects may choose by annotation.
    private_hosts, insecure_sources: hosts with private addresses, sources over plain http. log_level: debug or info.
  E
  type = object({
    layout               = optional(string)
    include              = optional(list(string), [])
    exclude              = optional(list(string), [])
    semver               = optional(string)
    latest               = optional(number)
    verify_tags          = optional(string)
    mutable_tags         = optional(string)
    resync_verify        = optional(string)
    on_drift             = optional(string)
    backup_tag           = optional(string)
    platforms            = optional(list(string), [])
    referrers            = optional(bool)
    max_missing_tags     = optional(number)
    batch_tags           = optional(number)
    job_threshold_bytes  = optional(number)
    allowed_destinations = optional(map(list(string)), {})
    private_hosts        = optional(list(string), [])
    insecure_sources     = optional(list(string), [])
    log_level            = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.mirroring.layout == null ? true : contains(["host-path", "path", "name"], var.mirroring.layout)
    error_message = "mirroring.layout is host-path, path or name."
  }

  validation {
    condition = alltrue([
      for value in [var.mirroring.verify_tags, var.mirroring.resync_verify] : value == null ? true : contains(["mutable", "all", "none"], value)
    ])
    error_message = "mirroring.verify_tags and mirroring.resync_verify are mutable, all or none."
  }

  validation {
    condition     = var.mirroring.on_drift == null ? true : contains(["overwrite", "report"], var.mirroring.on_drift)
    error_message = "mirroring.on_drift is overwrite or report."
  }

  validation {
    condition     = var.mirroring.backup_tag == null ? true : can(regex("\\{tag\\}", var.mirroring.backup_tag)) && can(regex("\\{digest\\}", var.mirroring.backup_tag)) && can(regex("[a-zA-Z0-9]", replace(replace(var.mirroring.backup_tag, "{tag}", ""), "{digest}", ""))) && var.mirroring.on_drift != "report"
    error_message = "mirroring.backup_tag has {tag}, {digest} and a word of its own in it, such as backup-{tag}-{digest}; beside on_drift = report it has no effect."
  }

  validation {
    condition     = var.mirroring.platforms == tolist(["all"]) || alltrue([for platform in var.mirroring.platforms : can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?$", platform))])
    error_message = "mirroring.platforms are OS/ARCHITECTURE[/VARIANT], such as linux/arm64, or all alone."
  }

  validation {
    condition     = var.mirroring.latest == null ? true : var.mirroring.latest >= 1 && var.mirroring.latest <= 100000 && floor(var.mirroring.latest) == var.mirroring.latest
    error_message = "mirroring.latest is a whole number from 1 to 100000; leave it out for all tags."
  }

  validation {
    condition     = var.mirroring.max_missing_tags == null ? true : var.mirroring.max_missing_tags >= 0 && floor(var.mirroring.max_missing_tags) == var.mirroring.max_missing_tags
    error_message = "mirroring.max_missing_tags is a whole number; 0 is no brake."
  }

  validation {
    condition     = var.mirroring.batch_tags == null ? true : var.mirroring.batch_tags >= 1 && var.mirroring.batch_tags <= 1000
    error_message = "mirroring.batch_tags is from 1 to 1000: an event holds no more."
  }

  validation {
    condition     = var.mirroring.job_threshold_bytes == null ? true : var.mirroring.job_threshold_bytes >= -1
    error_message = "mirroring.job_threshold_bytes is a number of bytes, 0 (the job does everything) or -1 (the job does nothing)."
  }

  validation {
    condition = alltrue(flatten([
      for namespace, paths in var.mirroring.allowed_destinations : [
        can(regex("^([a-z0-9-]+|\\*)$", namespace)), [for path in paths : can(regex("^[a-z0-9._/*-]+$", path))]
      ]
    ]))
    error_message = "mirroring.allowed_destinations maps a namespace (or *) to paths below the registry, such as { team-a = [\"team-a/*\"] }."
  }

  validation {
    condition     = var.mirroring.log_level == null ? true : contains(["debug", "info"], var.mirroring.log_level)
    error_message = "mirroring.log_level is debug or info: metrics and alerts are made of lines that a higher level does not write."
  }

  validation {
    condition     = alltrue([for pattern in concat(var.mirroring.include, var.mirroring.exclude) : pattern != "" && !strcontains(pattern, "\n")])
    error_message = "mirroring.include and mirroring.exclude hold one RE2 pattern each, neither empty nor of several lines."
  }

  validation {
    condition     = alltrue([for pattern in concat(var.mirroring.private_hosts, var.mirroring.insecure_sources) : !strcontains(pattern, ",") && !strcontains(pattern, "://")])
    error_message = "mirroring.private_hosts and mirroring.insecure_sources hold hosts and HOST/PATH patterns, without http:// and one each."
  }
}

variable "workers" {
  description = "ImageRepositories mirrored at once by an instance: the services' concurrency and the job's --workers."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.workers >= 1 && var.workers <= 64 && floor(var.workers) == var.workers
    error_message = "workers is a whole number from 1 to 64."
  }
}

variable "tag_workers" {
  description = "Tags of one ImageRepository whose blobs wait for streams at once; three times as many are under way in all."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.tag_workers >= 1 && var.tag_workers <= 64 && floor(var.tag_workers) == var.tag_workers
    error_message = "tag_workers is a whole number from 1 to 64."
  }
}

variable "max_instances" {
  description = "Instances of a lane at most. Each holds up to 32 connections to a source, so that many more are refused (429) sooner than they are faster."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 100 && floor(var.max_instances) == var.max_instances
    error_message = "max_instances is a whole number from 1 to 100."
  }
}

variable "cpu" {
  description = "CPUs of an instance and of the job: 1, 2, 4, 6 or 8. Hashing is what they are for; 1 does more than the network brings."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = contains([1, 2, 4, 6, 8], var.cpu)
    error_message = "cpu is 1, 2, 4, 6 or 8: with less than 1 an instance takes one request at a time, whatever workers says."
  }
}

variable "memory" {
  description = "Memory of an instance and of the job. Blobs are streamed and never held: 4 workers × 4 tag_workers with 16 large blobs under way peak at some 175 MiB (npm run bench -- memory)."
  type        = string
  default     = "512Mi"
  nullable    = false

  validation {
    condition     = can(regex("^([1-9][0-9]*Gi|(51[2-9]|5[2-9][0-9]|[6-9][0-9]{2}|[1-9][0-9]{3,})Mi)$", var.memory))
    error_message = "memory is a size such as 1Gi or 768Mi, at least 512Mi: the second-generation environment takes no less."
  }
}

# --- who publishes

variable "bridge_principals" {
  description = <<-E
    Bridges that may publish, by the name of each cluster, its CLUSTER_NAME: an alert fires where one of them falls
    silent. Direct Workload Identity (the default) needs the cluster's project_id and project_number; annotated =
    true uses the Google service account of the output bridge_service_account instead, which the Kubernetes service
    account is annotated with; member is any other IAM member, for clusters outside of Google Cloud.
  E
  type = map(object({
    project_id      = optional(string)
    project_number  = optional(string)
    namespace       = optional(string, "imagerepo-mirror")
    service_account = optional(string, "imagerepo-mirror-bridge")
    annotated       = optional(bool, false)
    member          = optional(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for cluster in keys(var.bridge_principals) : can(regex("^[A-Za-z0-9._-]+$", cluster))])
    error_message = "bridge_principals has names of letters, digits, dots, underscores and hyphens."
  }

  validation {
    condition = alltrue([
      for principal in values(var.bridge_principals) :
      principal.member != null || principal.project_id != null && (principal.annotated || can(regex("^[0-9]+$", principal.project_number)))
    ])
    error_message = "bridge_principals: each has project_id and project_number (gcloud projects describe tells it), or annotated = true with project_id, or member."
  }

  validation {
    condition = alltrue([
      for principals in values({ for one in values(var.bridge_principals) : coalesce(one.project_id, "-") => one.project_number... if one.member == null && one.project_number != null }) :
      length(toset(principals)) == 1
    ])
    error_message = "bridge_principals: clusters of one project_id have the same project_number, which is the project's."
  }

  validation {
    condition = alltrue([
      for principal in values(var.bridge_principals) : !(principal.member != null && principal.annotated)
    ])
    error_message = "bridge_principals: member and annotated exclude each other."
  }

  validation {
    condition = alltrue([
      for principal in values(var.bridge_principals) :
      principal.member == null ? true : can(regex("^(principal|principalSet|serviceAccount|user|group):", principal.member)) && !contains(["allUsers", "allAuthenticatedUsers"], principal.member)
    ])
    error_message = "bridge_principals: member is an IAM member such as serviceAccount:NAME@PROJECT.iam.gserviceaccount.com; never everybody."
  }
}

variable "accept_flux_events" {
  description = "Whether events of Flux's own notification-controller (provider googlepubsub) are taken too, by a topic of their own. The bridge is the better input."
  type        = bool
  default     = false
  nullable    = false
}

variable "flux_event_principals" {
  description = "Who may publish to the topic of accept_flux_events, by a name for each cluster: as bridge_principals, for the service account of notification-controller."
  type = map(object({
    project_id      = optional(string)
    project_number  = optional(string)
    namespace       = optional(string, "flux-system")
    service_account = optional(string, "notification-controller")
    member          = optional(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for principal in values(var.flux_event_principals) :
      principal.member != null ? can(regex("^(principal|principalSet|serviceAccount|user|group):", principal.member)) : principal.project_id != null && can(regex("^[0-9]+$", principal.project_number))
    ])
    error_message = "flux_event_principals: each has project_id and project_number, or member."
  }

  validation {
    condition = alltrue([
      for principals in values({ for one in values(var.flux_event_principals) : coalesce(one.project_id, "-") => one.project_number... if one.member == null && one.project_number != null }) :
      length(toset(principals)) == 1
    ])
    error_message = "flux_event_principals: clusters of one project_id have the same project_number, which is the project's."
  }

  validation {
    condition     = var.accept_flux_events || length(var.flux_event_principals) == 0
    error_message = "flux_event_principals needs accept_flux_events = true: there is no topic for them otherwise."
  }
}

# --- watching

variable "notification_channels" {
  description = "Channels that alerts are sent to: projects/P/notificationChannels/N. Empty: alerts are shown in the Console only."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", channel))])
    error_message = "notification_channels holds full names: projects/PROJECT/notificationChannels/NUMBER (gcloud beta monitoring channels list)."
  }
}

variable "runbook_url" {
  description = "Where you keep infra/README.md, such as https://github.com/my-org/imagerepo-mirror/blob/v1/infra/README.md: every alert links to its section. Null: alerts link to their log lines alone."
  type        = string
  default     = null

  validation {
    condition     = var.runbook_url == null ? true : can(regex("^https://[^#]+$", var.runbook_url))
    error_message = "runbook_url is an https address without a fragment."
  }
}

variable "alert_thresholds" {
  description = "When alerts open: age of the oldest event that is not done, time from Flux's scan to mirrored (95th percentile), and minutes without a sign of life of a bridge (it gives one every 5)."
  type = object({
    oldest_event_minutes = optional(number, 60)
    lag_minutes          = optional(number, 15)
    silence_minutes      = optional(number, 15)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.alert_thresholds.oldest_event_minutes >= 1 && var.alert_thresholds.lag_minutes >= 1
    error_message = "alert_thresholds.oldest_event_minutes and lag_minutes are at least 1."
  }

  validation {
    condition     = var.alert_thresholds.silence_minutes >= 10 && var.alert_thresholds.silence_minutes <= 1440
    error_message = "alert_thresholds.silence_minutes is from 10 (two signs of life) to 1440 (Cloud Monitoring looks back no further)."
  }
}

variable "otlp" {
  description = "Whether the mirror also sends metrics to telemetry.googleapis.com. The log-based metrics need none of it."
  type        = bool
  default     = false
  nullable    = false
}
