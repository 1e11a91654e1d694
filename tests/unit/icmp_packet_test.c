#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/checks/icmp_packet.h"

static const uint8_t cookie[ICMP_PACKET_COOKIE] = "0123456789abcde";

/* An IPv4 header of `words` words before `size` bytes of ICMP. */
static size_t put_v4(uint8_t *out, unsigned words, const uint8_t *icmp, size_t size)
{
    memset(out, 0, words * 4);
    out[0] = (uint8_t)(0x40 | words);
    out[9] = 1;
    memcpy(out + 16, "\xcb\x00\x71\x0a", 4);
    memcpy(out + words * 4, icmp, size);
    return words * 4 + size;
}

static size_t put_v6(uint8_t *out, const uint8_t *icmp, size_t size)
{
    memset(out, 0, 40);
    out[0] = 0x60;
    out[6] = 58;
    memset(out + 24, 0xfd, 16);
    memcpy(out + 40, icmp, size);
    return 40 + size;
}

static void a_request_has_its_checksum(void **state)
{
    uint8_t packet[ICMP_PACKET_BYTES];
    uint32_t sum = 0;

    (void)state;
    icmp_packet_build(false, 0xbeef, 0xfffe, cookie, packet);
    for (size_t i = 0; i < sizeof(packet); i += 2) {
        sum += (uint32_t)(packet[i] << 8 | packet[i + 1]);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff); /* RFC 1071 */
    assert_int_equal(packet[0], 8);
    icmp_packet_build(true, 0xbeef, 0xfffe, cookie, packet);
    assert_int_equal(packet[0], 128);
}

static void a_reply_is_read_behind_a_header_of_any_length(void **state)
{
    uint8_t echo[ICMP_PACKET_BYTES];
    uint8_t bytes[128];
    struct icmp_packet packet;

    (void)state;
    icmp_packet_build(false, 0xbeef, 7, cookie, echo);
    echo[0] = ICMP_PACKET_V4_REPLY;
    for (unsigned words = 5; words <= 15; words++) {
        size_t size = put_v4(bytes, words, echo, sizeof(echo));
        icmp_packet_read(false, true, bytes, size, &packet);
        assert_int_equal(packet.meaning, ICMP_PACKET_REPLY);
        assert_int_equal(packet.id, 0xbeef);
        assert_int_equal(packet.sequence, 7);
        assert_int_equal(packet.cookie_size, ICMP_PACKET_COOKIE);
        assert_memory_equal(packet.cookie, cookie, sizeof(cookie));
    }
    icmp_packet_read(false, false, echo, sizeof(echo), &packet);
    assert_int_equal(packet.meaning, ICMP_PACKET_REPLY);
}

static void an_error_tells_which_request_it_is_about(void **state)
{
    uint8_t echo[ICMP_PACKET_BYTES];
    uint8_t error[128] = { ICMP_PACKET_V4_UNREACHABLE, 1 };
    uint8_t bytes[256];
    struct icmp_packet packet;

    (void)state;
    icmp_packet_build(false, 0xbeef, 7, cookie, echo);
    size_t size = 8 + put_v4(error + 8, 6, echo, 8); /* RFC 792: 64 bits of it, no more */
    size = put_v4(bytes, 5, error, size);
    icmp_packet_read(false, true, bytes, size, &packet);
    assert_int_equal(packet.meaning, ICMP_PACKET_ERROR);
    assert_int_equal(packet.id, 0xbeef);
    assert_int_equal(packet.sequence, 7);
    assert_int_equal(packet.cookie_size, 0);
    assert_memory_equal(packet.target, "\xcb\x00\x71\x0a", 4);
    assert_true(icmp_packet_is_about(false, &packet, 7, cookie));
    assert_string_equal(icmp_packet_error_words(false, packet.type, packet.code),
                        "host unreachable");
}

static void an_error_of_ipv6_is_read_too(void **state)
{
    uint8_t echo[ICMP_PACKET_BYTES];
    uint8_t error[128] = { ICMP_PACKET_V6_EXCEEDED, 0 };
    struct icmp_packet packet;

    (void)state;
    icmp_packet_build(true, 1, 2, cookie, echo);
    size_t size = 8 + put_v6(error + 8, echo, sizeof(echo));
    icmp_packet_read(true, false, error, size, &packet);
    assert_int_equal(packet.meaning, ICMP_PACKET_ERROR);
    assert_int_equal(packet.sequence, 2);
    assert_int_equal(packet.cookie_size, ICMP_PACKET_COOKIE);
    assert_int_equal(packet.target[0], 0xfd);
    assert_string_equal(icmp_packet_error_words(true, packet.type, packet.code),
                        "time exceeded on the way");
}

/* An error that quotes so much of the request for `sequence`, one byte of it changed. */
static void read_error(bool is_v6, uint16_t sequence, size_t quoted, size_t damaged,
                       struct icmp_packet *out)
{
    static uint8_t error[128]; /* read as long as `out` is */
    uint8_t echo[ICMP_PACKET_BYTES];

    memset(error, 0, sizeof(error));
    error[0] = is_v6 ? ICMP_PACKET_V6_UNREACHABLE : ICMP_PACKET_V4_UNREACHABLE;
    icmp_packet_build(is_v6, 0xbeef, sequence, cookie, echo);
    if (damaged < quoted) {
        echo[damaged] ^= 0x55;
    }
    size_t size = is_v6 ? put_v6(error + 8, echo, quoted) : put_v4(error + 8, 5, echo, quoted);
    icmp_packet_read(is_v6, false, error, 8 + size, out);
}

static void a_short_quote_is_believed_by_its_checksum(void **state)
{
    const size_t nothing = ICMP_PACKET_BYTES;
    struct icmp_packet packet;

    (void)state;
    for (size_t quoted = 8; quoted <= ICMP_PACKET_BYTES; quoted++) {
        read_error(false, 7, quoted, nothing, &packet);
        assert_int_equal(packet.meaning, ICMP_PACKET_ERROR);
        assert_true(icmp_packet_is_about(false, &packet, 7, cookie));
        assert_false(icmp_packet_is_about(false, &packet, 8, cookie));
        for (size_t i = 6; i < quoted; i++) { /* sequence number and cookie, as far as quoted */
            read_error(false, 7, quoted, i, &packet);
            assert_false(icmp_packet_is_about(false, &packet, 7, cookie));
        }
    }
    for (size_t i = 2; i < 8; i++) { /* and checksum and id, where the cookie is not whole */
        read_error(false, 7, 8, i, &packet);
        assert_false(icmp_packet_is_about(false, &packet, 7, cookie));
    }
}

static void over_ipv6_the_whole_request_is_quoted(void **state)
{
    struct icmp_packet packet;

    (void)state;
    for (size_t quoted = 8; quoted < ICMP_PACKET_BYTES; quoted++) {
        read_error(true, 7, quoted, ICMP_PACKET_BYTES, &packet);
        assert_int_equal(packet.meaning, ICMP_PACKET_ERROR);
        assert_false(icmp_packet_is_about(true, &packet, 7, cookie));
    }
    read_error(true, 7, ICMP_PACKET_BYTES, ICMP_PACKET_BYTES, &packet);
    assert_true(icmp_packet_is_about(true, &packet, 7, cookie));
}

static void a_reply_without_the_whole_cookie_is_nobodys(void **state)
{
    uint8_t echo[ICMP_PACKET_BYTES];
    struct icmp_packet packet;

    (void)state;
    icmp_packet_build(false, 0xbeef, 7, cookie, echo);
    echo[0] = ICMP_PACKET_V4_REPLY;
    for (size_t size = 8; size < sizeof(echo); size++) {
        icmp_packet_read(false, false, echo, size, &packet);
        assert_false(icmp_packet_is_about(false, &packet, 7, cookie));
    }
    icmp_packet_read(false, false, echo, sizeof(echo), &packet);
    assert_true(icmp_packet_is_about(false, &packet, 7, cookie));
}

static void what_is_cut_short_or_about_others_is_foreign(void **state)
{
    uint8_t echo[ICMP_PACKET_BYTES];
    uint8_t error[128] = { ICMP_PACKET_V4_UNREACHABLE, 1 };
    uint8_t bytes[256];
    struct icmp_packet packet;

    (void)state;
    icmp_packet_build(false, 1, 2, cookie, echo);
    size_t size = 8 + put_v4(error + 8, 5, echo, 8);
    size = put_v4(bytes, 5, error, size);
    for (size_t cut = 0; cut < size; cut++) {
        icmp_packet_read(false, true, bytes, cut, &packet);
        assert_int_equal(packet.meaning, ICMP_PACKET_FOREIGN);
    }
    bytes[20 + 1] = 4; /* only that it was too large */
    icmp_packet_read(false, true, bytes, size, &packet);
    assert_int_equal(packet.meaning, ICMP_PACKET_FOREIGN);
    bytes[20 + 1] = 1;
    bytes[20 + 8 + 9] = 17; /* a datagram was lost */
    icmp_packet_read(false, true, bytes, size, &packet);
    assert_int_equal(packet.meaning, ICMP_PACKET_FOREIGN);
    icmp_packet_read(false, false, echo, sizeof(echo), &packet); /* a request */
    assert_int_equal(packet.meaning, ICMP_PACKET_FOREIGN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_has_its_checksum),
        cmocka_unit_test(a_reply_is_read_behind_a_header_of_any_length),
        cmocka_unit_test(an_error_tells_which_request_it_is_about),
        cmocka_unit_test(an_error_of_ipv6_is_read_too),
        cmocka_unit_test(a_short_quote_is_believed_by_its_checksum),
        cmocka_unit_test(over_ipv6_the_whole_request_is_quoted),
        cmocka_unit_test(a_reply_without_the_whole_cookie_is_nobodys),
        cmocka_unit_test(what_is_cut_short_or_about_others_is_foreign),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
