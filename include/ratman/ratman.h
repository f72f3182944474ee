/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libratman: talk to the Ratman daemon (or any daemon that speaks Microframe 0.1).
 *
 * One handle is one conversation. The library keeps no state outside its
 * handles: different handles may be used by different threads at the same time.
 * One handle (with the send or receive that is open on it) belongs to one thread
 * at a time; threads that share it must lock around every call and around the
 * use of what is borrowed from it. ratman_strerror(), ratman_free(),
 * ratman_id_parse() and ratman_id_format() may be called by anybody at any time.
 *
 * Calls block, at most as long as the handle's timeout (ratman_set_timeout)
 * unless they say otherwise, or never (ratman_set_nonblocking). The library
 * never prints, never exits, never starts a thread, and never raises SIGPIPE.
 *
 * Every call that returns int gives 0 (or a stated positive value) on success
 * and a negative code on failure: a RATMAN_E* of error.h or a negated errno.
 * -EINTR means that a signal came while waiting. After it, and after
 * RATMAN_ETIMEOUT, ratman_send_some(), ratman_recv_next(), ratman_recv_read(),
 * ratman_file_get_read() and what waits on or reads from a struct ratman_sub
 * may be called again and lose nothing; of any other call it is not known whether
 * the daemon has done it, and the next call makes the connection anew.
 *
 * The daemon closes a connection that was idle for two minutes. The next call
 * makes a new one without a word.
 *
 * Addresses, tokens and namespaces are RATMAN_ID_LEN raw bytes. The text form
 * is 16 groups of 4 hex digits joined by '-'.
 *
 * Later versions of libratman.so.0: no struct grows or changes. Its size, its
 * members, their places and what they mean stay as they are, so a program may have
 * arrays of them, put them into its own and copy them. What comes later comes in
 * functions and structs with names of their own. A struct that the program fills is
 * to be initialised whole, if only with zeroes; what 0 or NULL mean in a member
 * stands with it, and padding does not count. Errors and other enumerations may get
 * more values, behind those there are: a program has to be ready for one from the
 * library that it does not know.
 *
 * Each noun has a header, which may be included alone.
 */
#ifndef RATMAN_RATMAN_H
#define RATMAN_RATMAN_H

#include <ratman/address.h>
#include <ratman/contact.h>
#include <ratman/daemon.h>
#include <ratman/error.h>
#include <ratman/file.h>
#include <ratman/handle.h>
#include <ratman/id.h>
#include <ratman/link.h>
#include <ratman/message.h>
#include <ratman/peer.h>
#include <ratman/service.h>
#include <ratman/session.h>
#include <ratman/space.h>
#include <ratman/stream.h>
#include <ratman/subscription.h>
#include <ratman/tag.h>
#include <ratman/user.h>

#endif
