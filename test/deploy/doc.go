// Package deploy tests the manifests of deploy/kubernetes and deploy/compose. It is a module of
// its own, so that Kubernetes' types and Compose's reader never reach the product.
package deploy
