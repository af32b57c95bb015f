import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/**
 * Prices counted in the buckets that secondsight uses: 128 to an octave, one to a price below 256.
 *
 * <p>Sparse, for most sellers sell a few things. As bytes: the count (4 bytes), the sum (8), then
 * for each bucket in use, ascending, its number (2) and its count (4), all big-endian.
 */
final class Histogram {
  static final int HEADER = 12;
  static final int ENTRY = 6;

  private int count;
  private long sum;
  private short[] buckets = new short[4];
  private int[] counts = new int[4];
  private int used;

  static int bucketOf(long price) {
    int shift = Math.max(0, 64 - Long.numberOfLeadingZeros(price) - 8);
    return (shift << 7) + (int) (price >>> shift);
  }

  Histogram add(long price) {
    short bucket = (short) bucketOf(price);
    int place = Arrays.binarySearch(buckets, 0, used, bucket);
    if (place < 0) {
      place = -place - 1;
      if (used == buckets.length) {
        buckets = Arrays.copyOf(buckets, 2 * used);
        counts = Arrays.copyOf(counts, 2 * used);
      }
      System.arraycopy(buckets, place, buckets, place + 1, used - place);
      System.arraycopy(counts, place, counts, place + 1, used - place);
      buckets[place] = bucket;
      counts[place] = 0;
      used++;
    }
    counts[place]++;
    count++;
    sum += price;
    return this;
  }

  byte[] toBytes() {
    ByteBuffer bytes = ByteBuffer.allocate(HEADER + ENTRY * used).putInt(count).putLong(sum);
    for (int i = 0; i < used; i++) {
      bytes.putShort(buckets[i]).putInt(counts[i]);
    }
    return bytes.array();
  }

  static Histogram fromBytes(byte[] value) {
    ByteBuffer bytes = ByteBuffer.wrap(value);
    Histogram read = new Histogram();
    read.count = bytes.getInt();
    read.sum = bytes.getLong();
    read.used = bytes.remaining() / ENTRY;
    read.buckets = new short[Math.max(4, read.used)];
    read.counts = new int[Math.max(4, read.used)];
    for (int i = 0; i < read.used; i++) {
      read.buckets[i] = bytes.getShort();
      read.counts[i] = bytes.getInt();
    }
    return read;
  }

  static Serde<Histogram> serde() {
    Serializer<Histogram> writer = (topic, value) -> value == null ? null : value.toBytes();
    Deserializer<Histogram> reader = (topic, value) -> value == null ? null : fromBytes(value);
    return Serdes.serdeFrom(writer, reader);
  }
}
