# shellcheck shell=bash
# A real Kubernetes with one node: its configuration and the order in which it starts.

configure_kubernetes() {
  local etc=$state/etc
  create_pki
  echo "nameserver $resolver_address" >"$etc/resolv.conf"
  mkdir -p "$etc/cni"
  cat >"$etc/cni/10-pods.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/cni-addresses", "ranges": [[{"subnet": "$pod_range"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
  # restrict_oom_score_adj: in a sandbox that may not lower the score, no pod would start without it.
  cat >"$etc/containerd.toml" <<TOML
version = 2
root = "$state/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause_image"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$etc/cni"
TOML
  # failCgroupV1: kubelet refuses cgroup v1 otherwise. The eviction limits are low because the disk is the host's.
  cat >"$etc/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $state/pki/ca.crt}}
authorization: {mode: AlwaysAllow}
clusterDNS: [$cluster_dns_address]
clusterDomain: cluster.local
resolvConf: $etc/resolv.conf
volumePluginDir: /run/kubelet-plugins
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}
YAML
  cat >"$etc/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: $node_name
clusterCIDR: $pod_range
clientConnection: {kubeconfig: $state/pki/kube-proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0}
YAML
}

admin() { in_network kubectl --kubeconfig "$state/pki/admin.kubeconfig" "$@"; }

api_answers() { in_network curl --silent --fail --noproxy '*' --cacert "$state/pki/ca.crt" "https://$node_address:6443/readyz"; }

# containerd listens before it can unpack anything.
containerd_answers() { in_world ctr --namespace k8s.io images list; }

load_image() { in_world ctr --namespace k8s.io images import - <"$1"; }

# The images go in while the API server, the slowest of all, comes up.
load_cluster_images() {
  wait_until 20 containerd containerd containerd_answers
  load_image "$cache/images/pause-$PAUSE_VERSION.tar" >/dev/null
  load_image "$cache/images/coredns-$COREDNS_VERSION.tar" >/dev/null
}

start_kubernetes() {
  local name
  wait_until 60 "the API server" kube-apiserver api_answers
  for name in kube-controller-manager kube-scheduler kube-proxy kubelet; do start_service "$name"; done
  sed "s|COREDNS_IMAGE|$coredns_image|; s|CLUSTER_DNS_ADDRESS|$cluster_dns_address|; s|RESOLVER_ADDRESS|$resolver_address|" "$here/manifests/coredns.yaml" |
    admin apply --server-side --filename - --filename "$(group_dir externaldns)/dnsendpoints.externaldns.k8s.io.yaml" >/dev/null
}

cluster_is_ready() {
  admin wait --for=condition=Ready --timeout=1s "node/$node_name" &&
    admin wait --for=condition=Established --timeout=1s crd/dnsendpoints.externaldns.k8s.io &&
    admin --namespace kube-system rollout status --timeout=5s deployment/coredns
}
