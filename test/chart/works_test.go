package chart

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	policy "k8s.io/api/policy/v1"
	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// release has the chart's objects as the server has them.
type release struct {
	*space
	deployment *apps.Deployment
	pods       []core.Pod
	services   map[string]*core.Service
	accounts   map[string]bool
	configs    map[string]bool
	claims     map[string]bool
}

// checkRelease waits until the pods exist and checks that references between objects
// are valid: the server accepts objects that refer to missing ones.
func (s *space) checkRelease(all []*unstructured.Unstructured) error {
	return s.eventually(func() error {
		r, err := s.load(all)
		if err != nil {
			return err
		}
		problems := []error{r.checkTemplate()}
		for _, o := range all {
			if check := checks[o.GetKind()]; check != nil {
				if err := check(r, o.GetName()); err != nil {
					problems = append(problems, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err))
				}
			}
		}
		return errors.Join(problems...)
	})
}

func (s *space) load(all []*unstructured.Unstructured) (*release, error) {
	r := &release{
		space: s, services: map[string]*core.Service{}, accounts: map[string]bool{}, configs: map[string]bool{},
		claims: map[string]bool{},
	}
	for _, o := range all {
		var err error
		switch o.GetKind() {
		case "Deployment":
			r.deployment, err = s.client.AppsV1().Deployments(s.name).Get(s.ctx, o.GetName(), v1.GetOptions{})
		case "Service":
			r.services[o.GetName()], err = s.client.CoreV1().Services(s.name).Get(s.ctx, o.GetName(), v1.GetOptions{})
		case "ServiceAccount":
			r.accounts[o.GetName()] = true
		case "ConfigMap":
			r.configs[o.GetName()] = true
		case "PersistentVolumeClaim":
			r.claims[o.GetName()] = true
		}
		if err != nil {
			return nil, permanentError{err}
		}
	}
	d := r.deployment
	for _, c := range d.Status.Conditions {
		if c.Type == apps.DeploymentReplicaFailure && c.Status == core.ConditionTrue {
			return nil, permanentError{errors.New("the template creates no pod: " + c.Message)}
		}
	}
	if want := *d.Spec.Replicas; d.Status.ObservedGeneration < d.Generation || d.Status.UpdatedReplicas != want ||
		d.Status.AvailableReplicas != want || d.Status.Replicas != want {
		return nil, fmt.Errorf(
			"%d pods are wanted; there are %d, %d updated, %d available", want, d.Status.Replicas, d.Status.UpdatedReplicas,
			d.Status.AvailableReplicas,
		)
	}
	list, err := s.client.CoreV1().Pods(s.name).List(s.ctx, v1.ListOptions{
		LabelSelector: v1.FormatLabelSelector(d.Spec.Selector),
	})
	if err != nil {
		return nil, err
	}
	if r.pods = list.Items; len(r.pods) != int(*d.Spec.Replicas) {
		return nil, fmt.Errorf("there are %d pods", len(r.pods))
	}
	return r, nil
}

// checkTemplate checks that the chart creates what a pod needs, except secrets, which
// the user creates.
func (r *release) checkTemplate() error {
	var problems []error
	pod := r.deployment.Spec.Template.Spec
	if !r.accounts[pod.ServiceAccountName] {
		problems = append(
			problems, fmt.Errorf("pods have the service account %q, which does not exist", pod.ServiceAccountName),
		)
	}
	for _, v := range pod.Volumes {
		if v.ConfigMap != nil && !r.configs[v.ConfigMap.Name] || v.PersistentVolumeClaim != nil &&
			!r.claims[v.PersistentVolumeClaim.ClaimName] {
			problems = append(problems, fmt.Errorf("pods mount %q, which does not exist", v.Name))
		}
	}
	c := pod.Containers[0]
	for name, p := range map[string]*core.Probe{
		"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe,
	} {
		if port := p.HTTPGet.Port.String(); !r.hasPort(port) {
			problems = append(problems, fmt.Errorf("the %s probe uses port %q, which does not exist", name, port))
		}
	}
	for _, v := range c.Env {
		if host, _, _ := strings.Cut(v.Value, ":"); v.Name == "CHOWK_RELAY_ROUTES" && r.services[host] == nil {
			problems = append(problems, fmt.Errorf("relay.routes has %q, which does not exist", v.Value))
		}
	}
	return errors.Join(problems...)
}

// hasPort reports whether pods have a port of that name.
func (r *release) hasPort(name string) bool {
	return slices.ContainsFunc(
		r.deployment.Spec.Template.Spec.Containers[0].Ports, func(p core.ContainerPort) bool { return p.Name == name },
	)
}

// checks has the check for each kind of object.
var checks = map[string]func(*release, string) error{
	"Service":                 (*release).checkService,
	"Ingress":                 (*release).checkIngress,
	"NetworkPolicy":           (*release).checkPolicy,
	"PodDisruptionBudget":     (*release).checkBudget,
	"HorizontalPodAutoscaler": (*release).checkAutoscaler,
	"ServiceMonitor":          (*release).checkMonitor,
	"PersistentVolumeClaim":   (*release).checkClaim,
}

// checkService checks that the endpoints of a service are all pods, with every port.
func (r *release) checkService(name string) error {
	endpointSlices, err := r.client.DiscoveryV1().EndpointSlices(r.name).List(r.ctx, v1.ListOptions{
		LabelSelector: discovery.LabelServiceName + "=" + name,
	})
	if err != nil {
		return err
	}
	addresses, ports := 0, map[string]bool{}
	for _, slice := range endpointSlices.Items {
		for _, e := range slice.Endpoints {
			addresses += len(e.Addresses)
		}
		for _, p := range slice.Ports {
			ports[*p.Name] = p.Port != nil
		}
	}
	if addresses != len(r.pods) {
		return fmt.Errorf("has %d of %d pods", addresses, len(r.pods))
	}
	for _, p := range r.services[name].Spec.Ports {
		if !ports[p.Name] {
			return fmt.Errorf("port %s refers to a port that pods do not have (%s)", p.Name, p.TargetPort.String())
		}
	}
	return nil
}

func (r *release) checkIngress(name string) error {
	ingress, err := r.client.NetworkingV1().Ingresses(r.name).Get(r.ctx, name, v1.GetOptions{})
	if err != nil {
		return err
	}
	for _, rule := range ingress.Spec.Rules {
		for _, p := range rule.HTTP.Paths {
			to := p.Backend.Service
			if service := r.services[to.Name]; service == nil || !serviceHasPort(service, to.Port.Name) {
				return fmt.Errorf("refers to %s, port %s, which does not exist", to.Name, to.Port.Name)
			}
		}
	}
	return nil
}

func serviceHasPort(s *core.Service, port string) bool {
	return slices.ContainsFunc(s.Spec.Ports, func(p core.ServicePort) bool { return p.Name == port })
}

// checkPolicy checks that a policy applies to the pods, and opens their ports and no
// others.
func (r *release) checkPolicy(name string) error {
	p, err := r.client.NetworkingV1().NetworkPolicies(r.name).Get(r.ctx, name, v1.GetOptions{})
	if err != nil {
		return err
	}
	if err := r.checkSelector(&p.Spec.PodSelector); err != nil {
		return err
	}
	open := map[string]bool{}
	for _, rule := range p.Spec.Ingress {
		for _, port := range rule.Ports {
			open[port.Port.String()] = true
		}
		for _, from := range rule.From {
			if err := r.checkSelector(from.PodSelector); err != nil {
				return err
			}
		}
	}
	for _, port := range r.deployment.Spec.Template.Spec.Containers[0].Ports {
		if !open[port.Name] {
			return fmt.Errorf("closes port %s to all clients", port.Name)
		}
		delete(open, port.Name)
	}
	if len(open) > 0 {
		return fmt.Errorf("opens %v, which pods do not have", slices.Collect(maps.Keys(open)))
	}
	return nil
}

func (r *release) checkSelector(by *v1.LabelSelector) error {
	selector, err := v1.LabelSelectorAsSelector(by)
	if err != nil {
		return err
	}
	for _, pod := range r.pods {
		if !selector.Matches(labels.Set(pod.Labels)) {
			return fmt.Errorf("selector %s does not match the pods", selector)
		}
	}
	return nil
}

// checkBudget checks that the controller counts the pods, and allows one disruption.
func (r *release) checkBudget(name string) error {
	b, err := r.client.PolicyV1().PodDisruptionBudgets(r.name).Get(r.ctx, name, v1.GetOptions{})
	if err != nil {
		return err
	}
	if s := b.Status; int(s.ExpectedPods) != len(r.pods) || s.DisruptionsAllowed < 1 ||
		s.ObservedGeneration != b.Generation || !conditionIsTrue(b.Status.Conditions, policy.DisruptionAllowedCondition) {
		return fmt.Errorf(
			"it counts %d of %d pods, and allows %d disruptions", s.ExpectedPods, len(r.pods), s.DisruptionsAllowed,
		)
	}
	return nil
}

func conditionIsTrue(all []v1.Condition, name string) bool {
	return slices.ContainsFunc(all, func(c v1.Condition) bool { return c.Type == name && c.Status == v1.ConditionTrue })
}

// checkAutoscaler checks that the controller can scale the deployment within its
// limits, and requests the metrics, which do not exist here.
func (r *release) checkAutoscaler(name string) error {
	h, err := r.client.AutoscalingV2().HorizontalPodAutoscalers(r.name).Get(r.ctx, name, v1.GetOptions{})
	if err != nil {
		return err
	}
	if n := *r.deployment.Spec.Replicas; n < *h.Spec.MinReplicas || n > h.Spec.MaxReplicas {
		return fmt.Errorf("%d pods, want %d to %d", n, *h.Spec.MinReplicas, h.Spec.MaxReplicas)
	}
	conditions := map[autoscaling.HorizontalPodAutoscalerConditionType]string{}
	for _, c := range h.Status.Conditions {
		conditions[c.Type] = string(c.Status) + " " + c.Reason
	}
	able, active := conditions[autoscaling.AbleToScale], conditions[autoscaling.ScalingActive]
	if able != "True SucceededGetScale" ||
		active != "False FailedGetPodsMetric" && active != "False FailedGetResourceMetric" {
		return fmt.Errorf("able to scale: %s; active: %s", able, active)
	}
	return nil
}

// checkMonitor checks that a monitor selects one service, and a port of it.
func (r *release) checkMonitor(name string) error {
	o, err := r.objects.Resource(
		monitoring.SchemeGroupVersion.WithResource(monitoring.ServiceMonitorName),
	).Namespace(r.name).Get(
		r.ctx, name, v1.GetOptions{},
	)
	if err != nil {
		return err
	}
	var m monitoring.ServiceMonitor
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &m); err != nil {
		return err
	}
	selector, err := v1.LabelSelectorAsSelector(&m.Spec.Selector)
	if err != nil {
		return err
	}
	var found []*core.Service
	for _, s := range r.services {
		if selector.Matches(labels.Set(s.Labels)) {
			found = append(found, s)
		}
	}
	if len(found) != 1 || !serviceHasPort(found[0], m.Spec.Endpoints[0].Port) {
		return fmt.Errorf("selects %d services, want one with its port", len(found))
	}
	if found[0].Labels[m.Spec.JobLabel] != "chowk" {
		return fmt.Errorf("the job is %q, want chowk", found[0].Labels[m.Spec.JobLabel])
	}
	return nil
}

func (r *release) checkClaim(name string) error {
	c, err := r.client.CoreV1().PersistentVolumeClaims(r.name).Get(r.ctx, name, v1.GetOptions{})
	if err == nil && c.Status.Phase != core.ClaimBound {
		err = fmt.Errorf("the claim is %s", c.Status.Phase)
	}
	return err
}
