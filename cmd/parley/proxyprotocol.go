package main

import (
	"net"

	"github.com/pires/go-proxyproto"

	"github.com/parleyhq/parley/internal/clientaddr"
)

// behindProxies has connections of trusted proxies begin with a PROXY header, version 1 or 2,
// which says the client's address. A proxy's connection without one, such as a probe, is its
// own. From everybody else the header is no part of the protocol, and what begins with it no
// MQTT.
func behindProxies(ln net.Listener, trusted clientaddr.Proxies) net.Listener {
	if len(trusted) == 0 {
		return ln
	}
	return &proxiedListener{&proxyproto.Listener{
		Listener: ln,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if trusted.Trusts(o.Upstream) {
				return proxyproto.USE, nil
			}
			return proxyproto.SKIP, nil
		},
	}}
}

type proxiedListener struct{ *proxyproto.Listener }

// Accept implements net.Listener.
func (l *proxiedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if proxied, ok := conn.(*proxyproto.Conn); ok {
		return proxiedConn{proxied}, err
	}
	return conn, err
}

// proxiedConn is a connection of a trusted proxy. Its RemoteAddr is the client's.
type proxiedConn struct{ *proxyproto.Conn }

// NetConn returns the socket.
func (c proxiedConn) NetConn() net.Conn { return c.Raw() }
