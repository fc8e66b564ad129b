output "topics" {
  description = "For the bridge: --topic and --bulk-topic."
  value       = module.imagerepo_mirror.topics
}

output "image" {
  description = "What runs."
  value       = module.imagerepo_mirror.image
}
