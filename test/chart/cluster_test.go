package chart

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// programs is the directory into which `make test-chart` builds the programs.
const programs = "../../bin/cluster"

// Time limits of waits that should succeed, and of waits that should not.
const (
	waitTimeout     = 90 * time.Second
	negativeTimeout = 10 * time.Second
)

// cluster is shared by all tests of this process: etcd, an API server and the
// controllers, on loopback. It has no nodes; simulateNodes acts for them.
type cluster struct {
	dir        string
	kubeconfig string
	config     *rest.Config
	running    []*program
}

var shared *cluster

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // discards the log of helm
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "chowk-cluster-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		shared = &cluster{dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig")}
		defer shared.stop()
		if err := shared.start(); err != nil {
			fmt.Fprintln(os.Stderr, "start the cluster:", err)
			return 1
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		nodes, err := simulateNodes(ctx, kubernetes.NewForConfigOrDie(shared.config))
		if err == nil {
			err = shared.addMonitoringKinds(ctx)
			defer func() { cancel(); <-nodes }()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "prepare the cluster:", err)
			return 1
		}
		code := m.Run()
		if err := shared.checkRunning(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

type program struct {
	name string
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan struct{} // closed when it has exited
}

// run starts a program.
func (c *cluster) run(name string, args ...string) error {
	path, err := filepath.Abs(filepath.Join(programs, name))
	if err != nil {
		return err
	}
	p := &program{name: name, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = c.dir, &p.log, &p.log
	if err := startTied(p.cmd); err != nil {
		return fmt.Errorf("start %s (run make test-chart, which builds it): %w", name, err)
	}
	c.running = append(c.running, p)
	go func() { // ends when the program does
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

// start starts all programs.
func (c *cluster) start() error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	store, peers, server := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1], "https://127.0.0.1:"+ports[2]
	if err := c.run("etcd", "--data-dir=etcd", "--unsafe-no-fsync",
		"--listen-client-urls="+store, "--advertise-client-urls="+store,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers); err != nil {
		return err
	}
	if err := c.write(server); err != nil {
		return err
	}
	if err := c.run("kube-apiserver", "--etcd-servers="+store, "--cert-dir=certs",
		"--bind-address=127.0.0.1", "--secure-port="+ports[2], "--endpoint-reconciler-type=none",
		"--authorization-mode=RBAC", "--token-auth-file=tokens", "--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=accounts.key",
		"--service-account-signing-key-file=accounts.key"); err != nil {
		return err
	}
	if err := c.waitReady(); err != nil {
		return err
	}
	return c.run("kube-controller-manager", "--kubeconfig="+c.kubeconfig, "--secure-port=0", "--leader-elect=false",
		"--controllers=*,-node-lifecycle-controller", // needs heartbeats of nodes
		"--service-account-private-key-file=accounts.key", "--horizontal-pod-autoscaler-sync-period=1s",
		"--root-ca-file="+filepath.Join(c.dir, "certs", "apiserver.crt"))
}

// addMonitoringKinds creates the resource definitions of the Prometheus operator.
func (c *cluster) addMonitoringKinds(ctx context.Context) error {
	client, err := dynamic.NewForConfig(c.config)
	if err != nil {
		return err
	}
	kinds := client.Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	})
	for _, kind := range []string{"servicemonitors", "prometheusrules"} {
		text, err := os.ReadFile(filepath.Join(programs, "crds", "monitoring.coreos.com_"+kind+".yaml"))
		if err != nil {
			return err
		}
		o := new(unstructured.Unstructured)
		if err := yaml.Unmarshal(text, &o.Object); err != nil {
			return err
		}
		if _, err := kinds.Create(ctx, o, v1.CreateOptions{FieldValidation: v1.FieldValidationStrict}); err != nil {
			return err
		}
		listed := client.Resource(schema.GroupVersionResource{Group: "monitoring.coreos.com", Version: "v1", Resource: kind})
		if err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, waitTimeout, true, func(
			ctx context.Context,
		) (bool, error) {
			_, err := listed.List(ctx, v1.ListOptions{})
			return err == nil, nil
		}); err != nil {
			return fmt.Errorf("wait for kind %s: %w", kind, err)
		}
	}
	return nil
}

// write writes the key that signs for service accounts, and the administrator's token.
func (c *cluster) write(server string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	token := rand.Text()
	for name, text := range map[string]string{
		"accounts.key": string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})),
		"tokens":       token + `,admin,admin,system:masters`,
		// The server creates its certificate when it starts.
		"kubeconfig": fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{ name: test, cluster: { server: %q, certificate-authority: certs/apiserver.crt } }]
users: [{ name: admin, user: { token: %s } }]
contexts: [{ name: test, context: { cluster: test, user: admin } }]
current-context: test
`, server, token),
	} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// waitReady waits for the API server.
func (c *cluster) waitReady() error {
	var last error
	err := wait.PollUntilContextTimeout(context.Background(), 100*time.Millisecond, waitTimeout, true, func(
		ctx context.Context,
	) (bool, error) {
		if err := c.checkRunning(); err != nil {
			return false, err
		}
		last = c.checkReady(ctx)
		return last == nil, nil
	})
	if wait.Interrupted(err) {
		return errors.Join(err, last)
	}
	return err
}

// checkReady checks that the API server has its certificate and is ready.
func (c *cluster) checkReady(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(c.dir, "certs", "apiserver.crt")); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = -1, -1
	c.config = config
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	_, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

// checkRunning returns an error if a program has exited.
func (c *cluster) checkRunning() error {
	for _, p := range c.running {
		select {
		case <-p.done:
			return fmt.Errorf("%s has exited: %s", p.name, p.tail())
		default:
		}
	}
	return nil
}

// stop stops the programs, the last one first, and waits for them.
func (c *cluster) stop() {
	for i := len(c.running) - 1; i >= 0; i-- {
		p := c.running[i]
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
}

// tail returns the last lines of output of a program that has ended.
func (p *program) tail() string {
	lines := strings.Split(strings.TrimSpace(p.log.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // kept open until all are chosen, so that they differ
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}
