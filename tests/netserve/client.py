#!/usr/bin/env python3
"""What the tests of a bridge's server need of a network: clients that speak DHCP and DNS byte by byte, a resolver, nonsense.

  dhcp4 INTERFACE COUNT [SECONDS]   COUNT interfaces ask for addresses at once; JSON {"leases": {MAC: ADDRESS}, "seconds": ...}
  dhcp6 INTERFACE                   asks for an address and takes it; JSON
  dns SERVER[#PORT] NAME TYPE [tcp] JSON {"code": ..., "answers": [...]}; gives up after five seconds
  resolver ADDRESS PORT [TEXT]      answers every question for A with 192.0.2.99 and for TXT with TEXT; over UDP a long one is cut
  nonsense INTERFACE BRIDGE-MAC COUNT   random and half right packets to every port that is served
"""
import fcntl, json, os, random, select, socket, struct, sys, threading, time

ETHER = 0x0003


def hardware(interface):
    # Not by /sys, which shows the interfaces of whoever mounted it.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return fcntl.ioctl(s, 0x8927, struct.pack("256s", interface.encode()))[18:24]


def ip_checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp4(src_mac, dst_mac, src, dst, sport, dport, payload):
    udp = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, socket.inet_aton(src), socket.inet_aton(dst))
    head = head[:10] + struct.pack("!H", ip_checksum(head)) + head[12:]
    return dst_mac + src_mac + b"\x08\x00" + head + udp


def bootp(mac, xid, options, flags=0):
    body = struct.pack("!BBBBIHH4s4s4s4s", 1, 1, 6, 0, xid, 0, flags, *[b"\0" * 4] * 4)
    body += mac + b"\0" * 10 + b"\0" * 192 + b"\x63\x82\x53\x63"
    for code, data in options:
        body += bytes([code, len(data)]) + data
    return body + b"\xff"


def options4(data):
    found, at = {}, 240
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


def dhcp4(interface, count, seconds=5.0):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    s.bind((interface, 0))
    macs = [bytes([0, 0x16, 0x3E, 1, i >> 8, i & 255]) for i in range(count)]

    def send(i, kind, *more):
        options = [(53, bytes([kind])), (12, b"many%d" % i), *more]
        packet = bootp(macs[i], i + 1, options)
        s.send(udp4(macs[i], b"\xff" * 6, "0.0.0.0", "255.255.255.255", 68, 67, packet))

    leases, packets = {}, 0
    begin = time.monotonic()
    # Each asks once: a packet that gets lost is an answer that is missing.
    for i in range(count):
        send(i, 1)
    while len(leases) < count and time.monotonic() - begin < seconds:
        if not select.select([s], [], [], 0.2)[0]:
            continue
        frame = s.recv(4096)
        if frame[23] != 17 or struct.unpack("!H", frame[36:38])[0] != 68:
            continue
        data = frame[42:]
        i = struct.unpack("!I", data[4:8])[0] - 1
        if not 0 <= i < count or data[28:34] != macs[i]:
            continue
        packets += 1
        found, address = options4(data), data[16:20]
        if found[53] == b"\x02":
            send(i, 3, (50, address), (54, found[54]))
        elif found[53] == b"\x05":
            leases[macs[i].hex(":")] = socket.inet_ntoa(address)
    print(json.dumps({"leases": leases, "seconds": time.monotonic() - begin, "packets": packets}))


def dhcp6(interface):
    index = socket.if_nametoindex(interface)
    duid = bytes.fromhex("00020000a1b2") + hardware(interface)
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    s.bind(("::", 546))
    s.settimeout(1)
    option = lambda code, data: struct.pack("!HH", code, len(data)) + data

    def ask(kind, more):
        xid = os.urandom(3)
        packet = bytes([kind]) + xid + option(1, duid) + option(6, struct.pack("!HH", 23, 24)) + option(8, b"\0\0") + more
        for _ in range(30):
            try:
                s.sendto(packet, ("ff02::1:2", 547, 0, index))
                while True:
                    data = s.recv(4096)
                    if data[1:4] == xid:
                        return data[0], read(data[4:])
            except OSError:
                time.sleep(0.2)
        raise SystemExit("no answer to %d" % kind)

    def read(data):
        found = {}
        while len(data) >= 4:
            code, length = struct.unpack("!HH", data[:4])
            found[code] = data[4 : 4 + length]
            data = data[4 + length :]
        return found

    kind, told = ask(1, option(3, struct.pack("!III", 7, 0, 0)))
    result = {"advertised": kind, "dns": socket.inet_ntop(socket.AF_INET6, told[23][:16]), "search": told.get(24, b"").hex()}
    inner = read(told[3][12:])
    if 5 in inner:
        kind, told = ask(3, option(2, told[2]) + option(3, told[3]))
        inner = read(told[3][12:])
        result.update(replied=kind, address=socket.inet_ntop(socket.AF_INET6, inner[5][:16]), valid=struct.unpack("!I", inner[5][20:24])[0])
    else:
        result["status"] = struct.unpack("!H", inner[13][:2])[0]
    print(json.dumps(result))


TYPES = {"A": 1, "AAAA": 28, "PTR": 12, "TXT": 16, "MX": 15}


def qname(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.rstrip(".").split(".") if p) + b"\0"


def read_name(data, at):
    labels, jumps, end = [], 0, None
    while data[at]:
        if data[at] & 0xC0 == 0xC0:
            end = end or at + 2
            at = struct.unpack("!H", data[at : at + 2])[0] & 0x3FFF
            jumps += 1
            assert jumps < 20
            continue
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels), end or at + 1


def exactly(s, count):
    data = b""
    while len(data) < count:
        piece = s.recv(count - len(data))
        assert piece, "closed"
        data += piece
    return data


def dns(server, name, kind, tcp=False):
    server, _, port = server.partition("#")
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    number = os.urandom(2)
    packet = number + b"\x01\x00\0\1\0\0\0\0\0\0" + qname(name) + struct.pack("!HH", TYPES[kind], 1)
    def connected(way, patience):
        s = socket.socket(family, way)
        s.settimeout(patience)
        s.connect((server, int(port or 53)))
        return s

    if tcp:
        s = connected(socket.SOCK_STREAM, 5)
        # In two pieces: a message is not a segment.
        s.send(struct.pack("!H", len(packet)) + packet[:5])
        time.sleep(0.01)
        s.send(packet[5:])
        data = exactly(s, struct.unpack("!H", exactly(s, 2))[0])
    else:
        # As resolvers do: UDP loses things, and addresses of either side may still be tentative. With a socket of its own
        # each time: one that was connected while there were no others keeps ::1 as its address.
        for attempt in range(8):
            s = connected(socket.SOCK_DGRAM, 1)
            s.send(packet)
            try:
                data = s.recv(65536)
                break
            except TimeoutError:
                if attempt == 7:
                    raise
    assert data[:2] == number and data[2] & 0x80
    counts = struct.unpack("!4H", data[4:12])
    at = 12
    for _ in range(counts[0]):
        at = read_name(data, at)[1] + 4
    answers = []
    for _ in range(counts[1]):
        at = read_name(data, at)[1]
        kind, _, _, length = struct.unpack("!HHIH", data[at : at + 10])
        at += 10
        content = data[at : at + length]
        if kind in (1, 28):
            answers.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, content))
        elif kind == 12:
            answers.append(read_name(data, at)[0])
        else:
            answers.append(str(length))
        at += length
    print(json.dumps({"code": data[3] & 15, "cut": bool(data[2] & 2), "answers": answers}))


def resolver(address, port, text="x"):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def answer(packet, limit):
        name, end = read_name(packet, 12)
        kind = struct.unpack("!H", packet[end : end + 2])[0]
        record = b""
        if name.startswith("nothing"):
            return packet[:2] + b"\x81\x83\0\1\0\0\0\0\0\0" + packet[12 : end + 4]
        if kind == 1:
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x63"
        elif kind == 16:
            pieces = [text.encode()[i : i + 255] for i in range(0, len(text), 255)]
            content = b"".join(bytes([len(p)]) + p for p in pieces)
            record = b"\xc0\x0c\0\x10\0\1\0\0\0\x3c" + struct.pack("!H", len(content)) + content
        full = packet[:2] + b"\x81\x80\0\1" + struct.pack("!H", 1 if record else 0) + b"\0\0\0\0" + packet[12 : end + 4] + record
        return full if len(full) <= limit else packet[:2] + b"\x83\x80\0\1\0\0\0\0\0\0" + packet[12 : end + 4]

    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind((address, int(port)))
    tcp = socket.socket(family, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind((address, int(port)))
    tcp.listen(8)

    def serve_tcp():
        while True:
            s = tcp.accept()[0]
            reply = answer(exactly(s, struct.unpack("!H", exactly(s, 2))[0]), 65535)
            s.sendall(struct.pack("!H", len(reply)) + reply)
            s.close()

    threading.Thread(target=serve_tcp, daemon=True).start()
    print("ready", flush=True)
    while True:
        packet, client = udp.recvfrom(4096)
        udp.sendto(answer(packet, 512), client)


def nonsense(interface, bridge, count):
    rng = random.Random(7)
    bridge = bytes.fromhex(bridge.replace(":", ""))
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((interface, 0))
    own = hardware(interface)
    six = bytes.fromhex("fe80000000000000") + bytes([own[0] ^ 2, own[1], own[2], 0xFF, 0xFE, *own[3:]])

    def junk(n):
        return rng.randbytes(rng.randrange(n))

    def udp6(dst, port, payload):
        udp = struct.pack("!HHHH", 546, port, 8 + len(payload), 0) + payload
        return ip6(dst, 17, udp, 6)

    def ip6(dst, proto, payload, at):
        dst = socket.inet_pton(socket.AF_INET6, dst)
        pseudo = six + dst + struct.pack("!II", len(payload), proto)
        payload = payload[:at] + struct.pack("!H", ip_checksum(pseudo + payload) or 0xFFFF) + payload[at + 2 :]
        return b"\x33\x33" + dst[12:] + own + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(payload), proto, 255) + six + dst + payload

    def mangled(packet):
        packet = bytearray(packet)
        for _ in range(rng.randrange(1, 6)):
            packet[rng.randrange(len(packet))] = rng.randrange(256)
        return bytes(packet[: rng.randrange(len(packet)) if rng.random() < 0.3 else len(packet)])

    solicit = b"\1abc" + struct.pack("!HH", 1, 10) + bytes(10) + struct.pack("!HHIII", 3, 12, 7, 0, 0)
    question = b"ab\1\0\0\1\0\0\0\0\0\0" + qname("c1.lxd") + b"\0\1\0\1"
    for i in range(int(count)):
        mac = bytes([2]) + rng.randbytes(5)
        discover = bootp(mac, i, [(53, bytes([rng.choice([1, 3, 3, 4, 7, 8])])), (50, bytes([10, 77, 0, rng.randrange(256)])), (61, junk(60))])
        frames = [
            udp4(mac, b"\xff" * 6, "0.0.0.0", "255.255.255.255", 68, 67, discover),
            udp4(mac, b"\xff" * 6, "0.0.0.0", "255.255.255.255", 68, 67, mangled(discover)),
            udp4(mac, b"\xff" * 6, "0.0.0.0", "255.255.255.255", 68, 67, junk(1400)),
            udp6("ff02::1:2", 547, mangled(solicit)),
            udp6("ff02::1:2", 547, junk(1400)),
            ip6("ff02::2", 58, b"\x85\0\0\0" + junk(60), 2),
            udp4(own, bridge, "10.77.0.250", "10.77.0.1", 999, 53, mangled(question)),
            udp4(own, bridge, "10.77.0.250", "10.77.0.1", 999, 53, junk(1400)),
        ]
        for frame in frames:
            try:
                s.send(frame)
            except OSError:
                pass


verb, *words = sys.argv[1:]
if verb == "dhcp4":
    dhcp4(words[0], int(words[1]), *map(float, words[2:]))
elif verb == "dns":
    dns(words[0], words[1], words[2], words[3:] == ["tcp"])
else:
    {"dhcp6": dhcp6, "resolver": resolver, "nonsense": nonsense}[verb](*words)
