import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * The statistics by somebody who knows Kafka Streams well.
 *
 * <p>One processor and no repartition topic: categories and the global histogram are partial sums
 * of the input partition. JSON is read as a stream of tokens. Histograms stay bytes from end to
 * end: a sale adds one to a number in a copy of them, so nothing is decoded or encoded; the stores'
 * caches keep all but one write of a key in a commit interval away from RocksDB and the changelog.
 */
final class Expert {
  static Topology topology(String input) {
    return new Topology()
        .addSource(
            "sales", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), input)
        .addProcessor("statistics", Statistics::new, "sales")
        .addStateStore(store("seller"), "statistics")
        .addStateStore(store("category"), "statistics")
        .addStateStore(store("global"), "statistics");
  }

  private static StoreBuilder<KeyValueStore<byte[], byte[]>> store(String name) {
    return Stores.keyValueStoreBuilder(
            Stores.persistentKeyValueStore(name), Serdes.ByteArray(), Serdes.ByteArray())
        .withCachingEnabled();
  }

  private static final class Statistics implements Processor<byte[], byte[], Void, Void> {
    private final JsonFactory json = new JsonFactory();
    private final Map<String, byte[]> keys = new HashMap<>();
    private KeyValueStore<byte[], byte[]> seller;
    private KeyValueStore<byte[], byte[]> category;
    private KeyValueStore<byte[], byte[]> global;

    @Override
    public void init(ProcessorContext<Void, Void> context) {
      seller = context.getStateStore("seller");
      category = context.getStateStore("category");
      global = context.getStateStore("global");
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      String categoryName = null;
      String currency = null;
      long price = 0;
      try (JsonParser parser = json.createParser(record.value())) {
        parser.nextToken();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
          String field = parser.currentName();
          parser.nextToken();
          switch (field) {
            case "category" -> categoryName = parser.getText();
            case "currency" -> currency = parser.getText();
            case "price_minor" -> price = parser.getLongValue();
            default -> parser.skipChildren();
          }
        }
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
      count(seller, record.key(), price);
      count(category, bytes(categoryName), price);
      count(global, bytes(currency), price);
    }

    private byte[] bytes(String name) {
      return keys.computeIfAbsent(name, each -> each.getBytes(StandardCharsets.UTF_8));
    }

    private static void count(KeyValueStore<byte[], byte[]> store, byte[] key, long price) {
      store.put(key, added(store.get(key), price));
    }

    private static byte[] added(byte[] before, long price) {
      short bucket = (short) Histogram.bucketOf(price);
      int length = before == null ? Histogram.HEADER : before.length;
      int low = 0;
      int high = (length - Histogram.HEADER) / Histogram.ENTRY;
      ByteBuffer old = before == null ? ByteBuffer.allocate(length) : ByteBuffer.wrap(before);
      while (low < high) {
        int middle = (low + high) >>> 1;
        if (old.getShort(Histogram.HEADER + middle * Histogram.ENTRY) < bucket) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      int place = Histogram.HEADER + low * Histogram.ENTRY;
      boolean known = place < length && old.getShort(place) == bucket;
      byte[] after = new byte[known ? length : length + Histogram.ENTRY];
      System.arraycopy(old.array(), 0, after, 0, known ? length : place);
      ByteBuffer made = ByteBuffer.wrap(after);
      if (!known) {
        System.arraycopy(old.array(), place, after, place + Histogram.ENTRY, length - place);
        made.putShort(place, bucket);
      }
      made.putInt(place + 2, known ? old.getInt(place + 2) + 1 : 1);
      made.putInt(0, old.getInt(0) + 1);
      made.putLong(4, old.getLong(4) + price);
      return after;
    }
  }
}
