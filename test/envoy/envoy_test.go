// Package envoy validates the example for Envoy with Envoy's own definitions of its
// configuration. It is a separate module, because chowk itself needs none of its
// dependencies.
package envoy

import (
	"os"
	"testing"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	manager "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

const example = "../../deploy/proxies/envoy.yaml"

// parse reads a configuration as Envoy does: unknown fields and invalid values are
// errors, in typed_config as elsewhere.
func parse(text []byte) (*bootstrap.Bootstrap, error) {
	js, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	b := new(bootstrap.Bootstrap)
	if err := protojson.Unmarshal(js, b); err != nil {
		return nil, err
	}
	return b, validate(b)
}

type validator interface{ ValidateAll() error }

func validate(m proto.Message) error {
	if v, ok := m.(validator); ok {
		if err := v.ValidateAll(); err != nil {
			return err
		}
	}
	var failed error
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() == nil || f.IsMap() {
			return true
		}
		if f.IsList() {
			for i := range v.List().Len() {
				if failed == nil {
					failed = validateInside(v.List().Get(i).Message().Interface())
				}
			}
		} else {
			failed = validateInside(v.Message().Interface())
		}
		return failed == nil
	})
	return failed
}

// validateInside validates a message, and unpacks it first if it is an Any.
func validateInside(m proto.Message) error {
	packed, ok := m.(*anypb.Any)
	if !ok {
		return validate(m)
	}
	m, err := packed.UnmarshalNew()
	if err != nil {
		return err
	}
	return validate(m)
}

func TestExampleIsValid(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	b, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var m manager.HttpConnectionManager
	if err := b.StaticResources.Listeners[0].FilterChains[0].Filters[0].GetTypedConfig().UnmarshalTo(&m); err != nil {
		t.Fatal(err)
	}
	if len(m.UpgradeConfigs) != 1 || m.UpgradeConfigs[0].UpgradeType != "websocket" {
		t.Error("connections are not upgraded")
	}
	route := m.GetRouteConfig().VirtualHosts[0].Routes[0].GetRoute()
	if route.GetTimeout().AsDuration() != 0 || route.GetTimeout() == nil {
		t.Error("the route has a request timeout (the default is 15 s), which would end sockets")
	}
	const heartbeat = 30
	for name, d := range map[string]int64{
		"stream_idle_timeout":       m.GetStreamIdleTimeout().GetSeconds(),
		"idle_timeout of the route": route.GetIdleTimeout().GetSeconds(),
	} {
		if d <= 2*heartbeat {
			t.Errorf("%s is %d s: idle sockets would end before chowk's second heartbeat", name, d)
		}
	}
}

// TestConfigurationMistakesAreDetected checks that these tests detect a mistake of
// each kind.
func TestConfigurationMistakesAreDetected(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string]any){
		"unknown field": func(o map[string]any) { o["static_resource"] = map[string]any{} },
		"unknown field in typed_config": func(o map[string]any) {
			filter(o)["typed_config"].(map[string]any)["upgrade"] = "websocket"
		},
		"invalid value": func(o map[string]any) {
			filter(o)["typed_config"].(map[string]any)["stat_prefix"] = ""
		},
		"unknown extension": func(o map[string]any) {
			filter(o)["typed_config"].(map[string]any)["@type"] = "type.googleapis.com/envoy.Nothing"
		},
	} {
		t.Run(name, func(t *testing.T) {
			var o map[string]any
			if err := yaml.Unmarshal(text, &o); err != nil {
				t.Fatal(err)
			}
			change(o)
			bad, err := yaml.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parse(bad); err == nil {
				t.Error("the mistake was not detected")
			}
		})
	}
}

func filter(o map[string]any) map[string]any {
	listener := o["static_resources"].(map[string]any)["listeners"].([]any)[0].(map[string]any)
	chain := listener["filter_chains"].([]any)[0].(map[string]any)
	return chain["filters"].([]any)[0].(map[string]any)
}
