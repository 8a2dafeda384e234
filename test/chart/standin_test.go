package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// nodeName is the node that all pods are assigned to.
const nodeName = "simulated"

// simulateNodes acts for the nodes that the cluster lacks: it marks each pod as
// running and ready, deletes terminating pods, and provides a volume for each claim.
// Nothing is started. The channel is closed when it has ended.
func simulateNodes(ctx context.Context, client kubernetes.Interface) (<-chan struct{}, error) {
	if _, err := client.CoreV1().Nodes().Create(
		ctx, &core.Node{ObjectMeta: meta.ObjectMeta{Name: nodeName}}, meta.CreateOptions{},
	); err != nil {
		return nil, err
	}
	var addresses atomic.Uint32
	factory := informers.NewSharedInformerFactory(client, 0)
	act := func(what string, f func(any) error) cache.ResourceEventHandler {
		handle := func(o any) {
			if err := f(o); err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				fmt.Fprintf(os.Stderr, "simulate a %s: %v\n", what, err)
			}
		}
		return cache.ResourceEventHandlerFuncs{AddFunc: handle, UpdateFunc: func(_, o any) { handle(o) }}
	}
	_, _ = factory.Core().V1().Pods().Informer().AddEventHandler(act("node", func(o any) error {
		switch pod := o.(*core.Pod); {
		case pod.Spec.NodeName == "":
			return client.CoreV1().Pods(pod.Namespace).Bind(ctx, &core.Binding{
				ObjectMeta: meta.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID},
				Target:     core.ObjectReference{Kind: "Node", Name: nodeName},
			}, meta.CreateOptions{})
		case pod.DeletionTimestamp != nil:
			return client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *meta.NewDeleteOptions(0))
		case pod.Status.PodIP == "":
			n := addresses.Add(1)
			return setRunning(ctx, client, pod, fmt.Sprintf("10.%d.%d.%d", 128+n>>16&127, n>>8&255, n&255))
		}
		return nil
	}))
	_, _ = factory.Core().V1().PersistentVolumeClaims().Informer().AddEventHandler(act("volume", func(o any) error {
		if claim := o.(*core.PersistentVolumeClaim); claim.Spec.VolumeName == "" {
			return provideVolume(ctx, client, claim)
		}
		return nil
	}))
	factory.Start(ctx.Done())
	done := make(chan struct{})
	go func() { // ends when the informers have, after ctx
		<-ctx.Done()
		factory.Shutdown()
		close(done)
	}()
	return done, nil
}

func setRunning(ctx context.Context, client kubernetes.Interface, pod *core.Pod, address string) error {
	status := core.PodStatus{Phase: core.PodRunning, PodIP: address, PodIPs: []core.PodIP{{IP: address}}}
	for _, c := range []core.PodConditionType{core.PodInitialized, core.ContainersReady, core.PodReady} {
		status.Conditions = append(status.Conditions, core.PodCondition{
			Type: c, Status: core.ConditionTrue, LastTransitionTime: meta.Now(),
		})
	}
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Pods(pod.Namespace).Patch(
		ctx, pod.Name, types.StrategicMergePatchType, patch, meta.PatchOptions{}, "status",
	)
	return err
}

func provideVolume(ctx context.Context, client kubernetes.Interface, claim *core.PersistentVolumeClaim) error {
	volume := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: claim.Namespace + "-" + claim.Name},
		Spec: core.PersistentVolumeSpec{
			AccessModes: claim.Spec.AccessModes,
			Capacity:    claim.Spec.Resources.Requests,
			ClaimRef:    &core.ObjectReference{Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource: core.PersistentVolumeSource{
				CSI: &core.CSIPersistentVolumeSource{Driver: "stand.in", VolumeHandle: string(claim.UID)},
			},
		},
	}
	if claim.Spec.StorageClassName != nil {
		volume.Spec.StorageClassName = *claim.Spec.StorageClassName
	}
	if _, err := client.CoreV1().PersistentVolumes().Create(
		ctx, volume, meta.CreateOptions{},
	); !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}
