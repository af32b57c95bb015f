import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** Runs a topology until SIGTERM: {@code Peer dsl|expert SERVERS APPLICATION TOPIC FOLDER}. */
public final class Peer {
  public static void main(String[] args) throws InterruptedException {
    boolean expert = args[0].equals("expert");
    Properties options = new Properties();
    options.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[1]);
    options.put(StreamsConfig.APPLICATION_ID_CONFIG, args[2]);
    options.put(StreamsConfig.STATE_DIR_CONFIG, args[4]);
    options.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    options.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    options.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100); // also its default when exactly once
    options.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    options.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    // All of the state fits, as it does into the cache of secondsight; the default is 10 MB.
    options.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
    if (expert) {
      options.put(StreamsConfig.consumerPrefix("max.poll.records"), 10_000);
      options.put(StreamsConfig.consumerPrefix("max.partition.fetch.bytes"), 8 << 20);
      options.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 20_000);
      options.put(StreamsConfig.producerPrefix("batch.size"), 512 << 10);
      options.put(StreamsConfig.producerPrefix("linger.ms"), 100);
    }
    Topology topology = expert ? Expert.topology(args[3]) : Dsl.topology(args[3]);
    KafkaStreams streams = new KafkaStreams(topology, options);
    CountDownLatch failed = new CountDownLatch(1);
    streams.setUncaughtExceptionHandler(
        error -> {
          error.printStackTrace();
          failed.countDown();
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    failed.await();
    System.exit(1);
  }
}
