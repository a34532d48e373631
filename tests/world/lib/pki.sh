# shellcheck shell=bash
# Certificates and kubeconfigs of the cluster. Elliptic curves: a key takes no time.

create_pki() (
  cd "$state/pki" || return
  new_key ca
  openssl req -x509 -key ca.key -out ca.crt -subj /CN=maildomain-world -days 30
  new_key service-accounts
  openssl pkey -in service-accounts.key -pubout -out service-accounts.pub
  create_identity apiserver /CN=kube-apiserver
  create_identity admin /O=system:masters/CN=admin
  create_identity kube-controller-manager /CN=system:kube-controller-manager
  create_identity kube-scheduler /CN=system:kube-scheduler
  create_identity kube-proxy /CN=system:kube-proxy
  create_identity kubelet "/O=system:nodes/CN=system:node:$node_name"
)

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }

# create_identity NAME SUBJECT : NAME.key, NAME.crt and NAME.kubeconfig.
create_identity() {
  local names="IP:127.0.0.1,IP:$node_address,IP:$api_service_address,DNS:localhost,DNS:kubernetes.default.svc,DNS:$node_name"
  new_key "$1"
  openssl req -new -key "$1.key" -subj "$2" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" -extfile <(echo "subjectAltName=$names") 2>/dev/null
  cat >"$1.kubeconfig" <<JSON
{"apiVersion": "v1", "kind": "Config", "current-context": "world",
 "contexts": [{"name": "world", "context": {"cluster": "world", "user": "$1"}}],
 "clusters": [{"name": "world", "cluster": {"server": "https://$node_address:6443", "certificate-authority-data": "$(base64 -w0 ca.crt)"}}],
 "users": [{"name": "$1", "user": {"client-certificate-data": "$(base64 -w0 "$1.crt")", "client-key-data": "$(base64 -w0 "$1.key")"}}]}
JSON
}
