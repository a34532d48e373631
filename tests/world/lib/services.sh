# shellcheck shell=bash
# Every program that runs in the world, and its command line.

# service_command NAME : sets the array `command`.
service_command() {
  local pki=$state/pki etc=$state/etc
  case $1 in
    etcd)
      command=(etcd --data-dir "$state/etcd" --unsafe-no-fsync --log-level error
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
        --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380
        --initial-cluster default=http://127.0.0.1:2380)
      ;;
    containerd) command=(containerd --config "$etc/containerd.toml") ;;
    kube-apiserver)
      # The audit log witnesses what service accounts asked for.
      command=(kube-apiserver --etcd-servers=http://127.0.0.1:2379
        --bind-address=0.0.0.0 --secure-port=6443 --advertise-address="$node_address"
        --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt"
        --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key"
        --kubelet-preferred-address-types=InternalIP
        --service-account-issuer=https://kubernetes.default.svc
        --service-account-key-file="$pki/service-accounts.pub" --service-account-signing-key-file="$pki/service-accounts.key"
        "--authorization-mode=Node,RBAC" --service-cluster-ip-range="$service_range" --allow-privileged=true
        --audit-policy-file="$here/manifests/audit-policy.yaml" --audit-log-path="$state/log/audit.log")
      ;;
    kube-controller-manager)
      command=(kube-controller-manager --kubeconfig="$pki/kube-controller-manager.kubeconfig" --bind-address=127.0.0.1
        --service-account-private-key-file="$pki/service-accounts.key" --root-ca-file="$pki/ca.crt"
        --leader-elect=false --use-service-account-credentials=true)
      ;;
    kube-scheduler)
      command=(kube-scheduler --kubeconfig="$pki/kube-scheduler.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false)
      ;;
    kubelet)
      command=(kubelet --config="$etc/kubelet.yaml" --kubeconfig="$pki/kubelet.kubeconfig"
        --hostname-override="$node_name" --node-ip="$node_address")
      ;;
    kube-proxy) command=(kube-proxy --config="$etc/kube-proxy.yaml") ;;
    knot-*) command=(knotd --confdb "$state/$1/config") ;;
    pdns) command=(pdns_server --config-dir="$etc") ;;
    unbound) command=(unbound -d -p -c "$etc/unbound.conf") ;;
    externaldns-*) external_dns_command "${1#externaldns-}" ;;
    *) die "no service is called $1" ;;
  esac
}
